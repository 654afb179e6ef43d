// A run that answers in parts, as its caller asks for them.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "core.h"
#include "opening.h"

namespace sessiongateway::detail {

class SessionState;

class RunStreamState {
 public:
  /// `session` is the one of a handle, which the run opens or is made in; null for others.
  RunStreamState(std::shared_ptr<Core> core, v1::RunRequest request, const CallOptions& options,
                 std::shared_ptr<SessionState> session);
  ~RunStreamState() { close(); }

  std::optional<std::string> next();
  const RunResult& result() const;
  void close() noexcept;

 private:
  v1::RunStreamResponse begin();
  std::optional<std::string> deliver(v1::RunStreamResponse part);
  void finish(v1::RunResponse&& response);
  void drop() noexcept;

  const std::shared_ptr<Core> core_;
  v1::RunRequest request_;
  const std::optional<Duration> timeout_;
  const std::shared_ptr<SessionState> session_;
  Cancellation cancelled_;
  // Held by whoever is in `next`.
  std::mutex reading_;
  Opening::Turn turn_;
  std::shared_ptr<RunStreamCall> call_;
  // Hears of a cancellation also while nobody waits for a part.
  std::optional<std::stop_callback<std::function<void()>>> on_cancel_;
  std::optional<RunResult> result_;
  bool begun_ = false;
  bool over_ = false;
};

}  // namespace sessiongateway::detail
