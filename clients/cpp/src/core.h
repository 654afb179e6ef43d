// What a client and all that comes from it share.
#pragma once

#include <functional>
#include <memory>
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
        transport(std::make_shared<Transport>(options)),
        runner(*transport, pacing, random),
        renewer(std::make_shared<Renewer>(transport, pacing, random)),
        timeout_(options.timeout) {}
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core() { close(); }

  /// Starts counting a request's own time, or the client's.
  Deadline deadline(std::optional<Duration> timeout) const { return Deadline(timeout ? timeout : timeout_); }

  /// See `Client::close`. What is in flight must have been cancelled before the connection can go.
  void close() noexcept {
    transport->close();
    renewer->close();
    transport->disconnect();
  }

  const Pacing pacing;
  const std::function<double()> random;
  // Shared with the thread of the renewals, which may be the one that destroys this.
  const std::shared_ptr<Transport> transport;
  Runner runner;
  const std::shared_ptr<Renewer> renewer;

 private:
  const std::optional<Duration> timeout_;
};

}  // namespace sessiongateway::detail
