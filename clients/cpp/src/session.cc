#include <algorithm>
#include <utility>

#include "convert.h"
#include "held.h"
#include "run_stream_state.h"
#include "session_state.h"
#include "sessiongateway/resources.h"

namespace sessiongateway {

namespace detail {

std::string SessionState::id() const {
  const std::lock_guard lock(mutex_);
  return id_;
}

std::optional<SessionInfo> SessionState::info() const {
  const std::lock_guard lock(mutex_);
  return info_;
}

std::shared_ptr<const Error> SessionState::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

RunResult SessionState::call(const SessionCall& call) {
  core_->transport->refuse_closed();
  const Deadline deadline = core_->deadline(timeout_of(call));
  const Cancellation cancelled(call.stop, core_->transport->closed());
  v1::RunRequest made = request(call);
  auto turn = enter(made, deadline, cancelled.token());
  RunResult result = core_->runner.run(made, deadline, cancelled.token());
  took(std::move(turn), result);
  return result;
}

std::shared_ptr<RunStreamState> SessionState::stream(SessionCall call) {
  const CallOptions options{.timeout = timeout_of(call), .stop = call.stop};
  auto made = std::make_shared<RunStreamState>(core_, request(call), options, shared_from_this());
  const std::lock_guard lock(mutex_);
  std::erase_if(streams_, [](const auto& each) { return each.expired(); });
  streams_.push_back(made);
  return made;
}

std::optional<SessionInfo> SessionState::end() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  if (id_.empty()) {
    // A session whose id is not known yet ends only with the call that opens it.
    const auto streams = std::exchange(streams_, {});
    lock.unlock();
    for (const auto& each : streams) {
      if (const auto stream = each.lock()) stream->close();
    }
    lock.lock();
  }
  if (id_.empty() || ended_) return info_;
  const std::string session_id = id_;
  const std::uint64_t renewal = renewal_;
  lock.unlock();
  if (renewal != 0) core_->renewer->discard(renewal);
  const Duration patience = core_->pacing.end_timeout;
  std::optional<SessionInfo> last;
  try {
    last = Sessions(core_).end(session_id, {.timeout = std::min(options_.timeout.value_or(patience), patience)});
  } catch (const SessionNotFoundError&) {
    // Its record has been purged, so it was over long ago.
  }
  lock.lock();
  ended_ = true;
  if (last) info_ = std::move(last);
  return info_;
}

void SessionState::leave() noexcept {
  try {
    end();
  } catch (const std::exception&) {
    // It will expire by itself; whoever wants to know calls `end`.
  }
  std::unique_lock lock(mutex_);
  const std::uint64_t renewal = renewal_;
  lock.unlock();
  if (renewal != 0) core_->renewer->discard(renewal);
}

Opening::Turn SessionState::enter(v1::RunRequest& request, const Deadline& deadline, const std::stop_token& stop) {
  if (id().empty()) {
    auto turn = opening_.take(deadline, stop);
    const std::lock_guard lock(mutex_);
    if (id_.empty()) {
      refuse_finished();
      return turn;
    }
  }
  const std::lock_guard lock(mutex_);
  refuse_finished();
  request.clear_session_timeout();
  request.set_app(info_ ? info_->app + "@" + info_->version : app_);
  request.set_session(id_);
  return {};
}

void SessionState::took(Opening::Turn turn, const RunResult& result) {
  std::unique_lock lock(mutex_);
  if (result.session) info_ = result.session;
  if (!turn) return;
  id_ = result.session_id;
  const bool is_unwanted = closed_;
  lock.unlock();
  if (is_unwanted) {
    // The handle was closed while this call ran, and could not end what it did not know.
    leave();
  } else if (options_.keepalive) {
    keep_alive(result.session_id);
  }
}

void SessionState::keep_alive(const std::string& session_id) {
  const auto hear_it = [self = weak_from_this()](const KeepaliveEvent& event) {
    if (const auto state = self.lock()) state->hear(event);
  };
  std::uint64_t renewal = 0;
  try {
    renewal = core_->renewer->add(session_id, hear_it);
  } catch (const UsageError&) {
    // The client was closed when the answer had come, which is the caller's all the same.
    return;
  }
  std::unique_lock lock(mutex_);
  renewal_ = renewal;
  const bool is_unwanted = closed_;
  lock.unlock();
  if (is_unwanted) core_->renewer->discard(renewal);
}

v1::RunRequest SessionState::request(const SessionCall& call) const {
  RunParams params;
  params.app = app_;
  params.function = call.function;
  params.input = call.input;
  params.session = "new";
  params.session_timeout = options_.session_timeout;
  params.request_id = call.request_id;
  params.expected_call_count = call.expected_call_count;
  return run_request(params);
}

std::optional<Duration> SessionState::timeout_of(const SessionCall& call) const {
  return call.timeout ? call.timeout : options_.timeout;
}

void SessionState::refuse_finished() const {
  if (closed_) throw UsageError("the session handle is closed");
  if (lost_) {
    ErrorInfo info = lost_->info();
    info.run_state = RunState::not_started;
    throw_error(std::move(info));
  }
}

void SessionState::hear(const KeepaliveEvent& event) {
  {
    const std::lock_guard lock(mutex_);
    if (!event.error) {
      info_ = event.session;
      return;
    }
    lost_ = event.error;
  }
  if (!options_.on_lost) return;
  try {
    options_.on_lost(*event.error);
  } catch (...) {
    // The renewals of the other sessions must go on.
  }
}

}  // namespace detail

Session::Session(std::shared_ptr<detail::SessionState> state) : state_(std::move(state)) {}

Session& Session::operator=(Session&& other) noexcept {
  if (this != &other) {
    const Session ended(std::move(*this));
    state_ = std::move(other.state_);
  }
  return *this;
}

Session::~Session() {
  if (state_) state_->leave();
}

std::string Session::id() const {
  return detail::held(state_).id();
}
std::optional<SessionInfo> Session::info() const {
  return detail::held(state_).info();
}
std::shared_ptr<const Error> Session::lost() const {
  return detail::held(state_).lost();
}
RunResult Session::call(const SessionCall& call) {
  return detail::held(state_).call(call);
}
RunStream Session::stream(SessionCall call) {
  return RunStream(detail::held(state_).stream(std::move(call)));
}
std::optional<SessionInfo> Session::end() {
  return detail::held(state_).end();
}

}  // namespace sessiongateway
