// How many calls gRPC has not yet done with.
#pragma once

#include <condition_variable>
#include <mutex>

namespace sessiongateway::detail {

/// Calls of the callback API are destroyed by gRPC's own thread. If one of them held the last reference to its channel,
/// gRPC 1.51 would join that thread from within itself, and abort. So whoever has the channel waits for them.
class InFlight {
 public:
  /// Stands for one call. A call has it as its first member, so that it goes last.
  class Ticket {
   public:
    explicit Ticket(InFlight& all) : all_(all) {
      const std::lock_guard lock(all_.mutex_);
      ++all_.count_;
    }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() {
      const std::lock_guard lock(all_.mutex_);
      --all_.count_;
      all_.none_.notify_all();
    }

   private:
    InFlight& all_;
  };

  /// Waits until there are none. All must have been cancelled.
  ~InFlight() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  int count_ = 0;
};

}  // namespace sessiongateway::detail
