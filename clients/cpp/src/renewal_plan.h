// When which session is renewed, without a clock or a connection of its own.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "deadline.h"

namespace sessiongateway::detail {

/// Each session is due at once, and then at a third of its timeout after it was last asked about, less some jitter.
/// While an answer is awaited it is not due; if none comes in time, the stream has broken.
class RenewalPlan {
 public:
  explicit RenewalPlan(Duration reply_timeout) : reply_timeout_(reply_timeout) {}

  bool empty() const { return entries_.empty(); }
  bool contains(const std::string& session_id) const { return entries_.contains(session_id); }

  /// Renews a session from now on. One that is there already becomes due now.
  void add(const std::string& session_id, Moment now);

  void remove(const std::string& session_id);

  void clear();

  /// A new stream: everything is due on it, and nothing is awaited.
  void restart(Moment now);

  /// At most so many sessions that are due, as asked about from now on. `random` from 0 to 1 spreads their next turns.
  std::vector<std::string> take_due(Moment now, std::size_t limit, double random);

  /// An answer has come. A timeout of zero is unknown: the session is asked about again after a while.
  void answered(const std::string& session_id, std::chrono::seconds timeout);

  /// Whether an answer did not come in time.
  bool is_overdue(Moment now) const;

  /// When the first of the awaited answers is overdue; none if none is awaited.
  std::optional<Moment> overdue_moment() const;

  /// When there is something to do next; none if there never is.
  std::optional<Moment> next_moment() const;

 private:
  struct Entry {
    Moment wake;
    Moment asked;
    double spread = 1;
    bool awaited = false;
  };
  const Duration reply_timeout_;
  std::map<std::string, Entry> entries_;
  // Apart from each other, so that those that are due are found without a look at all that are not.
  std::set<std::pair<Moment, std::string>> due_;
  std::set<std::pair<Moment, std::string>> awaited_;
};

}  // namespace sessiongateway::detail
