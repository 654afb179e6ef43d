#include "runner.h"

#include <algorithm>

#include "convert.h"
#include "error_decoding.h"

namespace sessiongateway::detail {

namespace {

bool took_nothing(const Error& error) {
  return error.run_state() == RunState::not_started &&
         (error.code() == GatewayDrainingError::kCode || error.code() == StoreUnavailableError::kCode);
}

}  // namespace

template <class Send>
auto Runner::repeat(Send send, const Deadline& deadline, const std::stop_token& stop) {
  for (int attempt = 0;; ++attempt) {
    Duration delay{};
    try {
      return send();
    } catch (const Error& error) {
      if (!took_nothing(error) || attempt + 1 >= pacing_.drain_attempts) throw;
      delay = std::max(error.retry_after().value_or(Duration::zero()), pacing_.drain.delay(attempt, random_()));
      if (const auto left = deadline.remaining(); left && delay >= *left) throw;
    }
    if (!pause(delay, stop)) transport_.fail_cancelled(RunState::not_started);
  }
}

RunResult Runner::run(const v1::RunRequest& request, const Deadline& deadline, const std::stop_token& stop) {
  return run_result(repeat([&] { return transport_.run(request, deadline, stop); }, deadline, stop));
}

Runner::Begun Runner::begin(const v1::RunRequest& request, const Deadline& deadline, const std::stop_token& stop) {
  const auto send = [&] {
    auto call = transport_.run_stream(request, deadline, stop);
    auto part = read(*call, stop);
    return Begun{std::move(call), std::move(part)};
  };
  return repeat(send, deadline, stop);
}

v1::RunStreamResponse Runner::read(RunStreamCall& call, const std::stop_token& stop) {
  v1::RunStreamResponse part;
  RunStreamCall::Outcome outcome{};
  {
    const std::stop_callback cancel(stop, [&call] { call.cancel(); });
    outcome = call.wait(part, std::nullopt);
  }
  if (outcome == RunStreamCall::Outcome::message) return part;
  if (!call.status().ok()) transport_.fail(call.status(), stop, true);
  throw_error(transport_error("INVALID_RESPONSE", "the stream ended without a result", RunState::unknown));
}

}  // namespace sessiongateway::detail
