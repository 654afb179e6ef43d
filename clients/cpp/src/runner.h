// One run, from its request to its answer.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "deadline.h"
#include "sessiongateway/options.h"
#include "sessiongateway/types.h"
#include "transport.h"

namespace sessiongateway::detail {

/// Runs functions; the only place that sends a run more than once.
class Runner {
 public:
  Runner(Transport& transport, const Pacing& pacing, std::function<double()> random)
      : transport_(transport), pacing_(pacing), random_(std::move(random)) {}

  /// See `Client::run`.
  RunResult run(const v1::RunRequest& request, const Deadline& deadline, const std::stop_token& stop);

  /// A stream that was taken by the gateway, and its first part.
  struct Begun {
    std::shared_ptr<RunStreamCall> call;
    v1::RunStreamResponse part;
  };

  /// Sends a run that answers in parts, and waits for the first of them.
  /// \throws Error The run failed.
  Begun begin(const v1::RunRequest& request, const Deadline& deadline, const std::stop_token& stop);

  /// Waits for the next part of an answer.
  /// \throws Error The run failed, or the stream ended without a result.
  v1::RunStreamResponse read(RunStreamCall& call, const std::stop_token& stop);

 private:
  template <class Send>
  auto repeat(Send send, const Deadline& deadline, const std::stop_token& stop);

  Transport& transport_;
  const Pacing& pacing_;
  const std::function<double()> random_;
};

}  // namespace sessiongateway::detail
