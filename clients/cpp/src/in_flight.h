// How many calls gRPC has not yet done with.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

namespace sessiongateway::detail {

/// Calls of the callback API are destroyed by gRPC's own thread. If one of them held the last reference to its channel,
/// gRPC 1.51 would join that thread from within itself, and abort. So whoever has the channel waits for them.
class InFlight {
 public:
  /// Stands for what one call has of the channel.
  class Ticket {
   public:
    explicit Ticket(InFlight& all) : all_(&all) {
      const std::lock_guard lock(all_->mutex_);
      ++all_->count_;
    }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() { give_back(); }

    /// The call has nothing of the channel any more.
    void give_back() noexcept {
      InFlight* const all = std::exchange(all_, nullptr);
      if (all == nullptr) return;
      const std::lock_guard lock(all->mutex_);
      --all->count_;
      all->none_.notify_all();
    }

   private:
    InFlight* all_;
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
