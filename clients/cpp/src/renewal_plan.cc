#include "renewal_plan.h"

#include <algorithm>

namespace sessiongateway::detail {

namespace {

/// How much of the interval jitter may take away.
constexpr double kJitter = 0.2;

Duration scaled(Duration duration, double factor) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::nano>(duration) * factor);
}

}  // namespace

void RenewalPlan::add(const std::string& session_id, Moment now) {
  remove(session_id);
  entries_.emplace(session_id, Entry{.wake = now, .asked = now});
  due_.emplace(now, session_id);
}

void RenewalPlan::remove(const std::string& session_id) {
  const auto found = entries_.find(session_id);
  if (found == entries_.end()) return;
  (found->second.awaited ? awaited_ : due_).erase({found->second.wake, session_id});
  entries_.erase(found);
}

void RenewalPlan::clear() {
  entries_.clear();
  due_.clear();
  awaited_.clear();
}

void RenewalPlan::restart(Moment now) {
  due_.clear();
  awaited_.clear();
  for (auto& [session_id, entry] : entries_) {
    entry = Entry{.wake = now, .asked = now};
    due_.emplace(now, session_id);
  }
}

std::vector<std::string> RenewalPlan::take_due(Moment now, std::size_t limit, double random) {
  std::vector<std::string> taken;
  while (taken.size() < limit && !due_.empty() && due_.begin()->first <= now) {
    const std::string session_id = due_.begin()->second;
    const auto found = entries_.find(session_id);
    due_.erase(due_.begin());
    found->second = Entry{.wake = now + reply_timeout_, .asked = now, .spread = 1 - kJitter * random, .awaited = true};
    awaited_.emplace(found->second.wake, session_id);
    taken.push_back(session_id);
  }
  return taken;
}

void RenewalPlan::answered(const std::string& session_id, std::chrono::seconds timeout) {
  const auto found = entries_.find(session_id);
  if (found == entries_.end() || !found->second.awaited) return;
  Entry& entry = found->second;
  awaited_.erase({entry.wake, session_id});
  entry.awaited = false;
  entry.wake = entry.asked + (timeout.count() > 0 ? scaled(timeout, entry.spread / 3) : reply_timeout_);
  due_.emplace(entry.wake, session_id);
}

bool RenewalPlan::is_overdue(Moment now) const {
  return !awaited_.empty() && awaited_.begin()->first <= now;
}

std::optional<Moment> RenewalPlan::overdue_moment() const {
  return awaited_.empty() ? std::nullopt : std::optional(awaited_.begin()->first);
}

std::optional<Moment> RenewalPlan::next_moment() const {
  auto next = overdue_moment();
  if (!due_.empty()) next = std::min(next.value_or(Moment::max()), due_.begin()->first);
  return next;
}

}  // namespace sessiongateway::detail
