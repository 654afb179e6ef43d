#include "opening.h"

#include "error_decoding.h"

namespace sessiongateway::detail {

Opening::Turn Opening::take(const Deadline& deadline, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (taken_ && reader_ == std::this_thread::get_id()) {
    throw UsageError("the session is being opened by a stream: read it to its end, or close it, before the next call");
  }
  const auto is_free = [this] { return !taken_; };
  if (const auto moment = deadline.moment()) {
    free_.wait_until(lock, stop, *moment, is_free);
  } else {
    free_.wait(lock, stop, is_free);
  }
  if (taken_ && stop.stop_requested()) {
    throw_error(transport_error("CANCELLED", "the request was cancelled", RunState::not_started));
  }
  if (taken_) {
    throw_error(
        transport_error("DEADLINE_EXCEEDED", "the session was not open in the time given", RunState::not_started));
  }
  taken_ = true;
  return Turn(this);
}

void Opening::read_by_caller() {
  const std::lock_guard lock(mutex_);
  reader_ = std::this_thread::get_id();
}

void Opening::read_by_nobody() {
  const std::lock_guard lock(mutex_);
  reader_ = {};
}

void Opening::release() noexcept {
  const std::lock_guard lock(mutex_);
  taken_ = false;
  reader_ = {};
  free_.notify_one();
}

}  // namespace sessiongateway::detail
