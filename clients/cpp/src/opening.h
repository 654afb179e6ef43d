// How the calls of a session handle take turns until one of them has opened the session.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "deadline.h"

namespace sessiongateway::detail {

/// Lets one call at a time try to open the session, while others wait.
///
/// A stream that opens it keeps its turn while its reader is busy with an output. A call that this very thread makes
/// meanwhile would wait for ever, and is refused.
class Opening {
 public:
  /// Gives the turn back when it is destroyed.
  class Turn {
   public:
    Turn() = default;
    explicit Turn(Opening* opening) : opening_(opening) {}
    Turn(Turn&& other) noexcept : opening_(std::exchange(other.opening_, nullptr)) {}
    Turn& operator=(Turn&& other) noexcept {
      give_back();
      opening_ = std::exchange(other.opening_, nullptr);
      return *this;
    }
    ~Turn() { give_back(); }

    explicit operator bool() const { return opening_ != nullptr; }
    void give_back() noexcept {
      if (opening_ != nullptr) std::exchange(opening_, nullptr)->release();
    }

   private:
    Opening* opening_ = nullptr;
  };

  /// Waits for the turn.
  /// \throws UsageError This thread reads a stream that has the turn.
  /// \throws Error It did not come in time, or the caller cancelled.
  Turn take(const Deadline& deadline, const std::stop_token& stop);

  /// Remembers that whoever has the turn gives an output to this thread now.
  void read_by_caller();

  /// Whoever has the turn goes on, in whichever thread.
  void read_by_nobody();

 private:
  void release() noexcept;

  std::mutex mutex_;
  std::condition_variable_any free_;
  std::thread::id reader_;
  bool taken_ = false;
};

}  // namespace sessiongateway::detail
