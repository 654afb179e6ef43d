// How a client connects, and every wait that it takes by itself.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace sessiongateway {

/// Certificates and keys in PEM. Empty: what the system trusts, and no certificate of one's own.
struct TlsOptions {
  std::string root_certificates;
  std::string certificate_chain;
  std::string private_key;
};

/// Waiting times that grow: `initial`, then twice as long with each attempt, up to `maximum`.
struct Backoff {
  std::chrono::nanoseconds initial;
  std::chrono::nanoseconds maximum;

  /// The wait after attempt 0, 1, ...: between half and all of its step, as `random` (0 to 1) says.
  std::chrono::nanoseconds delay(int attempt, double random) const;
};

/// Every wait that the client takes by itself. The defaults suit programs; tests bring their own.
struct Pacing {
  /// How often a run is sent at most, when every answer is GATEWAY_DRAINING or STORE_UNAVAILABLE.
  int drain_attempts = 4;
  /// Between these, if the gateway does not ask for more.
  Backoff drain{std::chrono::milliseconds(200), std::chrono::seconds(5)};
  /// Before a broken stream is opened again; its maximum is far below the usual session timeout of 60 s.
  Backoff reconnect{std::chrono::milliseconds(100), std::chrono::seconds(5)};
  /// Without an answer for this long a keepalive stream counts as broken: a host that vanished says nothing.
  std::chrono::nanoseconds reply_timeout = std::chrono::seconds(10);
  /// After this silence a watch counts as broken: a gateway sends something every 30 s at least.
  std::chrono::nanoseconds watch_timeout = std::chrono::seconds(100);
  /// What a handle may take to end its session, unless its own timeout is shorter.
  std::chrono::nanoseconds end_timeout = std::chrono::seconds(10);
  /// Returns a number from 0 to 1; spreads the waits of many clients. Left out: a generator of its own for each thread.
  std::function<double()> random = {};
};

/// Where a gateway is, and how to talk to it.
struct ClientOptions {
  /// HOST:PORT; dns:///HOST:PORT or ipv4:ADDRESS:PORT,ADDRESS:PORT, among which calls go round. Left out: the
  /// environment's SGW_ADDRESS, else 127.0.0.1:50151.
  std::string address = {};
  /// Sent with every request; "" for none. Left out: the environment's SGW_API_KEY, if there is one.
  std::optional<std::string> api_key = std::nullopt;
  /// For requests that have no timeout of their own. Left out: as long as it takes.
  std::optional<std::chrono::nanoseconds> timeout = std::nullopt;
  /// Left out: plain text.
  std::optional<TlsOptions> tls = std::nullopt;
  Pacing pacing = {};
};

}  // namespace sessiongateway
