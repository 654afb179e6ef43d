#include "sessiongateway/types.h"

#include <algorithm>
#include <array>
#include <span>

#include "sessiongateway/errors.h"

namespace sessiongateway {

namespace {

constexpr std::array kStatuses = {"unspecified", "active", "ended", "expired"};
constexpr std::array kEndReasons = {
    "unspecified",  "caller",         "idle_timeout", "worker_lost",   "first_call_failed", "gateway_restarted",
    "max_lifetime", "call_timed_out", "memory_limit", "process_limit", "disk_limit"};
constexpr std::array kRunStates = {"unspecified", "not_started", "unknown", "completed"};
constexpr std::array kEvents = {"unspecified", "watching", "created", "ended", "expired", "worker_lost"};

std::string word(std::span<const char* const> words, int number) {
  if (number >= 0 && static_cast<std::size_t>(number) < words.size()) return words[static_cast<std::size_t>(number)];
  return "unknown_" + std::to_string(number);
}

}  // namespace

std::string to_string(SessionStatus status) {
  return word(kStatuses, static_cast<int>(status));
}
std::string to_string(EndReason reason) {
  return word(kEndReasons, static_cast<int>(reason));
}
std::string to_string(RunState state) {
  return word(kRunStates, static_cast<int>(state));
}
std::string to_string(SessionEvent event) {
  return word(kEvents, static_cast<int>(event));
}

SessionStatus parse_session_status(std::string_view text) {
  const auto found = std::find(kStatuses.begin() + 1, kStatuses.end(), text);
  if (found == kStatuses.end()) {
    throw UsageError("\"" + std::string(text) + "\" is not a session status; those are active, ended, expired");
  }
  return static_cast<SessionStatus>(found - kStatuses.begin());
}

}  // namespace sessiongateway
