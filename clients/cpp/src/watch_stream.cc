#include <algorithm>
#include <utility>

#include "convert.h"
#include "error_decoding.h"
#include "held.h"
#include "watch_state.h"

namespace sessiongateway {

namespace detail {

WatchState::WatchState(std::shared_ptr<Core> core, WatchParams params)
    : core_(std::move(core)),
      params_(std::move(params)),
      closing_({}, core_->transport->closed()),
      token_(params_.resume_token) {}

void WatchState::open(const CallOptions& options) {
  const std::lock_guard lock(reading_);
  core_->transport->refuse_closed();
  const Deadline deadline = core_->deadline(options.timeout);
  const Cancellation stopped(options.stop, closing_.token());
  auto event = read(deadline.moment(), stopped.token());
  if (!event && stopped.token().stop_requested()) core_->transport->fail_cancelled(std::nullopt);
  if (!event) {
    throw_error(transport_error("DEADLINE_EXCEEDED", "the watch did not stand in the time given", std::nullopt));
  }
  if (is_shown(*event)) {
    first_ = std::move(event);
  } else {
    keep_token(*event);
  }
}

std::optional<WatchEvent> WatchState::next(const WaitOptions& options) {
  const auto until = options.timeout ? std::optional(moment_after(*options.timeout)) : std::nullopt;
  const std::lock_guard lock(reading_);
  const Cancellation stopped(options.stop, closing_.token());
  for (;;) {
    if (closing_.token().stop_requested()) return std::nullopt;
    auto event = first_ ? std::exchange(first_, std::nullopt) : read(until, stopped.token());
    if (!event) return std::nullopt;
    keep_token(*event);
    if (is_shown(*event)) return event;
  }
}

std::string WatchState::resume_token() const {
  const std::lock_guard lock(token_mutex_);
  return token_;
}

void WatchState::close() noexcept {
  closing_.request();
  const std::lock_guard lock(reading_);
  drop();
}

/// The next message, over as many streams as it takes; none when the moment or the stop comes first.
std::optional<WatchEvent> WatchState::read(std::optional<Moment> until, const std::stop_token& stop) {
  while (connect(until, stop)) {
    if (!silent_since_) silent_since_ = Clock::now();
    const Moment silent_until = *silent_since_ + core_->pacing.watch_timeout;
    v1::WatchSessionsResponse message;
    switch (call_->wait(message, std::min(silent_until, until.value_or(silent_until)), stop)) {
      case WatchCall::Outcome::message:
        silent_since_.reset();
        standing_ = true;
        attempt_ = 0;
        return watch_event(message);
      case WatchCall::Outcome::finished:
        if (stop.stop_requested()) return std::nullopt;
        if (const grpc::Status& status = call_->status(); status.ok()) {
          recover(transport_error("UNAVAILABLE", "the gateway closed the stream", std::nullopt), false);
        } else {
          recover(decode(status, false), is_final(status.error_code()));
        }
        break;
      case WatchCall::Outcome::interrupted:
        if (stop.stop_requested() || Moment(Clock::now()) < silent_until) return std::nullopt;
        recover(transport_error("UNAVAILABLE", "no word from the gateway in time", std::nullopt), false);
        break;
    }
  }
  return std::nullopt;
}

/// Sees to it that there is a stream; returns false when the moment or the stop comes first.
bool WatchState::connect(std::optional<Moment> until, const std::stop_token& stop) {
  if (call_) return true;
  if (reopen_at_) {
    const Moment moment = std::min(*reopen_at_, until.value_or(*reopen_at_));
    if (!pause(moment - Moment(Clock::now()), stop) || moment < *reopen_at_) return false;
    reopen_at_.reset();
  }
  v1::WatchSessionsRequest request;
  request.set_resume_token(resume_token());
  request.set_app(params_.app);
  call_ = core_->transport->watch(std::move(request));
  if (!call_) return false;
  on_close_.emplace(closing_.token(), [call = call_] { call->cancel(); });
  return true;
}

bool WatchState::is_shown(const WatchEvent& event) const {
  return event.event != SessionEvent::watching || params_.show_watching;
}

void WatchState::keep_token(const WatchEvent& event) {
  const std::lock_guard lock(token_mutex_);
  token_ = event.resume_token;
}

/// Sees to it that the stream is opened again after a while. Throws the failure when that is of no use.
void WatchState::recover(ErrorInfo failure, bool is_final) {
  drop();
  const bool told_to_wait = failure.code == GatewayDrainingError::kCode || failure.code == StoreUnavailableError::kCode;
  const bool is_hopeful = standing_ || (told_to_wait && attempt_ + 1 < core_->pacing.drain_attempts);
  if (is_final || !is_hopeful) {
    attempt_ = 0;
    throw_error(std::move(failure));
  }
  const Duration pause = core_->pacing.reconnect.delay(attempt_, core_->random());
  attempt_ += 1;
  reopen_at_ = moment_after(std::max(pause, failure.retry_after.value_or(Duration::zero())));
}

void WatchState::drop() noexcept {
  on_close_.reset();
  silent_since_.reset();
  if (const auto call = std::exchange(call_, nullptr)) call->cancel();
}

}  // namespace detail

WatchStream::WatchStream(std::shared_ptr<detail::WatchState> state) : state_(std::move(state)) {}

WatchStream& WatchStream::operator=(WatchStream&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
  }
  return *this;
}

WatchStream::~WatchStream() {
  close();
}

std::optional<WatchEvent> WatchStream::next(const WaitOptions& options) {
  return detail::held(state_).next(options);
}

std::string WatchStream::resume_token() const {
  return detail::held(state_).resume_token();
}

void WatchStream::close() noexcept {
  if (state_) state_->close();
}

}  // namespace sessiongateway
