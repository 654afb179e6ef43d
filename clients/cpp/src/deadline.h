// Moments, and the one by which a request must be over.
#pragma once

#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <stop_token>

namespace sessiongateway::detail {

using Clock = std::chrono::steady_clock;
using Duration = std::chrono::nanoseconds;
using Moment = std::chrono::time_point<Clock, Duration>;

/// Longer waits are cut to this, so that no sum overflows. Nobody sees the difference.
inline constexpr Duration kForever = std::chrono::hours(24 * 365);

inline Moment moment_after(Duration wait) {
  return Moment(Clock::now()) + std::min(wait, kForever);
}

/// A moment by which a request, with all its attempts, must be over; or none.
class Deadline {
 public:
  Deadline() = default;
  /// Starts counting now; no timeout never ends.
  explicit Deadline(std::optional<Duration> timeout) {
    if (timeout) moment_ = moment_after(*timeout);
  }

  std::optional<Moment> moment() const { return moment_; }

  /// The time left, negative when it has passed; none if there is no end.
  std::optional<Duration> remaining() const {
    if (!moment_) return std::nullopt;
    return *moment_ - Moment(Clock::now());
  }

  bool passed() const { return moment_ && *moment_ <= Moment(Clock::now()); }

  /// Tells gRPC, by the monotonic clock: a wall clock that is set must not end a request.
  void apply(grpc::ClientContext& context) const;

 private:
  std::optional<Moment> moment_;
};

/// Several reasons to stop, as one token.
class Cancellation {
 public:
  Cancellation(const std::stop_token& one, const std::stop_token& other)
      : one_(one, Forward{&source_}), other_(other, Forward{&source_}) {}
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  void request() noexcept { source_.request_stop(); }

 private:
  struct Forward {
    std::stop_source* source;
    void operator()() const noexcept { source->request_stop(); }
  };
  std::stop_source source_;
  std::stop_callback<Forward> one_;
  std::stop_callback<Forward> other_;
};

/// Waits for so long, or until a stop is requested; then it returns false.
bool pause(Duration wait, const std::stop_token& stop);

}  // namespace sessiongateway::detail
