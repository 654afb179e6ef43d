#include <algorithm>
#include <utility>

#include "held.h"
#include "keepalive_stream_state.h"

namespace sessiongateway {

namespace detail {

KeepaliveStreamState::KeepaliveStreamState(std::shared_ptr<Core> core)
    : core_(std::move(core)), on_client_close_(core_->transport->closed(), [this] { close(); }) {}

void KeepaliveStreamState::renew(const std::vector<std::string>& session_ids) {
  const std::lock_guard lock(mutex_);
  live_.insert(session_ids.begin(), session_ids.end());
  const auto put = [self = weak_from_this()](const KeepaliveEvent& event) {
    if (const auto state = self.lock()) state->put(event);
  };
  for (const auto& each : live_) tickets_.push_back(core_->renewer->add(each, put));
}

std::optional<KeepaliveEvent> KeepaliveStreamState::next(const WaitOptions& options) {
  std::unique_lock lock(mutex_);
  const auto is_over = [this] { return !events_.empty() || live_.empty(); };
  if (options.timeout) {
    changed_.wait_until(lock, options.stop, moment_after(*options.timeout), is_over);
  } else {
    changed_.wait(lock, options.stop, is_over);
  }
  if (events_.empty()) return std::nullopt;
  auto event = std::move(events_.front());
  events_.pop_front();
  return event;
}

bool KeepaliveStreamState::ended() const {
  const std::lock_guard lock(mutex_);
  return events_.empty() && live_.empty();
}

void KeepaliveStreamState::close() noexcept {
  std::vector<std::uint64_t> tickets;
  {
    const std::lock_guard lock(mutex_);
    live_.clear();
    events_.clear();
    // Kept, since each who closes waits for the end of what is being told.
    tickets = tickets_;
    changed_.notify_all();
  }
  for (const std::uint64_t each : tickets) core_->renewer->discard(each);
}

void KeepaliveStreamState::put(const KeepaliveEvent& event) {
  const std::lock_guard lock(mutex_);
  if (!live_.contains(event.session_id)) return;
  // Taken out first, so that it goes to the end: no session's news can keep back those of another.
  std::erase_if(events_, [&](const auto& each) { return each.session_id == event.session_id; });
  events_.push_back(event);
  if (event.error) live_.erase(event.session_id);
  changed_.notify_all();
}

}  // namespace detail

KeepaliveStream::KeepaliveStream(std::shared_ptr<detail::KeepaliveStreamState> state) : state_(std::move(state)) {}

KeepaliveStream& KeepaliveStream::operator=(KeepaliveStream&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
  }
  return *this;
}

KeepaliveStream::~KeepaliveStream() {
  close();
}

std::optional<KeepaliveEvent> KeepaliveStream::next(const WaitOptions& options) {
  return detail::held(state_).next(options);
}

bool KeepaliveStream::ended() const {
  return detail::held(state_).ended();
}

void KeepaliveStream::close() noexcept {
  if (state_) state_->close();
}

}  // namespace sessiongateway
