// What a client and all that comes from it share.
#pragma once

#include <functional>
#include <optional>
#include <random>
#include <utility>

#include "renewer.h"
#include "runner.h"
#include "sessiongateway/options.h"
#include "transport.h"

namespace sessiongateway::detail {

inline std::function<double()> random_of(const Pacing& pacing) {
  if (pacing.random) return pacing.random;
  return [] {
    thread_local std::minstd_rand generator{std::random_device{}()};
    return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
  };
}

class Core {
 public:
  explicit Core(ClientOptions options)
      : pacing(std::move(options.pacing)),
        random(random_of(pacing)),
        transport(options),
        runner(transport, pacing, random),
        renewer(transport, pacing, random),
        timeout_(options.timeout) {}

  /// Starts counting a request's own time, or the client's.
  Deadline deadline(std::optional<Duration> timeout) const { return Deadline(timeout ? timeout : timeout_); }

  void close() noexcept {
    transport.close();
    renewer.close();
  }

  const Pacing pacing;
  const std::function<double()> random;
  Transport transport;
  Runner runner;
  Renewer renewer;

 private:
  const std::optional<Duration> timeout_;
};

}  // namespace sessiongateway::detail
