// A watch that survives broken connections and gateways that come back.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "core.h"
#include "sessiongateway/resources.h"
#include "sessiongateway/streams.h"

namespace sessiongateway::detail {

class WatchState {
 public:
  WatchState(std::shared_ptr<Core> core, WatchParams params);
  ~WatchState() { close(); }

  /// Waits until the watch stands.
  void open(const CallOptions& options);

  std::optional<WatchEvent> next(const WaitOptions& options);
  std::string resume_token() const;
  void close() noexcept;

 private:
  std::optional<WatchEvent> read(std::optional<Moment> until, const std::stop_token& stop);
  bool connect(std::optional<Moment> until, const std::stop_token& stop);
  bool is_shown(const WatchEvent& event) const;
  void keep_token(const WatchEvent& event);
  void recover(ErrorInfo failure, bool is_final);
  void drop() noexcept;

  const std::shared_ptr<Core> core_;
  const WatchParams params_;
  Cancellation closing_;
  // Held by whoever waits for an event.
  std::mutex reading_;
  mutable std::mutex token_mutex_;
  std::string token_;
  std::shared_ptr<WatchCall> call_;
  std::optional<std::stop_callback<std::function<void()>>> on_close_;
  // Came with the opening, and was not yet asked for.
  std::optional<WatchEvent> first_;
  std::optional<Moment> silent_since_;
  std::optional<Moment> reopen_at_;
  int attempt_ = 0;
  bool standing_ = false;
};

}  // namespace sessiongateway::detail
