#include "sessiongateway/client.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "convert.h"
#include "core.h"
#include "held.h"
#include "keepalive_stream_state.h"
#include "run_stream_state.h"
#include "session_state.h"
#include "utf8.h"

namespace sessiongateway {

std::chrono::nanoseconds Backoff::delay(int attempt, double random) const {
  // The exponent is bounded because a stream may reconnect for weeks, and a double does overflow.
  const double grown = static_cast<double>(initial.count()) * std::exp2(std::min(attempt, 64));
  const double step = std::min(static_cast<double>(maximum.count()), grown);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(step * (0.5 + random / 2)));
}

Client::Client(ClientOptions options) : core_(std::make_shared<detail::Core>(std::move(options))) {}

Client& Client::operator=(Client&& other) noexcept {
  if (this != &other) {
    close();
    core_ = std::move(other.core_);
  }
  return *this;
}

Client::~Client() {
  close();
}

RunResult Client::run(const RunParams& params, const CallOptions& options) {
  detail::held(core_).transport->refuse_closed();
  const detail::Deadline deadline = core_->deadline(options.timeout);
  const detail::Cancellation cancelled(options.stop, core_->transport->closed());
  return core_->runner.run(detail::run_request(params), deadline, cancelled.token());
}

RunStream Client::run_stream(RunParams params, CallOptions options) {
  detail::held(core_);
  return RunStream(std::make_shared<detail::RunStreamState>(core_, detail::run_request(params), options, nullptr));
}

Session Client::session(std::string app, SessionOptions options) {
  detail::held(core_);
  return Session(std::make_shared<detail::SessionState>(core_, std::move(app), std::move(options)));
}

KeepaliveStream Client::stream_keepalive(std::vector<std::string> session_ids) {
  detail::held(core_).transport->refuse_closed();
  for (const auto& each : session_ids) detail::utf8(each, "session_id");
  auto state = std::make_shared<detail::KeepaliveStreamState>(core_);
  KeepaliveStream stream(state);
  state->renew(session_ids);
  return stream;
}

Sessions Client::sessions() const {
  detail::held(core_);
  return Sessions(core_);
}

Apps Client::apps() const {
  detail::held(core_);
  return Apps(core_);
}

void Client::close() noexcept {
  if (core_) core_->close();
}

}  // namespace sessiongateway
