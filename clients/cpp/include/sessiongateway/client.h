// The client.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sessiongateway/options.h"
#include "sessiongateway/resources.h"
#include "sessiongateway/session.h"
#include "sessiongateway/streams.h"
#include "sessiongateway/types.h"

namespace sessiongateway {

/// A client of Session Gateway. All of it may be used by many threads at a time; not to be carried across a fork. Of
/// one that was moved from, everything but `close` throws UsageError; so it is with handles and streams.
class Client {
 public:
  /// Remembers where to connect; the connection is made with the first request.
  /// \throws UsageError The address is not HOST:PORT, or the API key cannot be sent.
  explicit Client(ClientOptions options = {});
  Client(Client&&) noexcept = default;
  Client& operator=(Client&& other) noexcept;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  /// Calls a function of an app and returns its answer.
  ///
  /// A run is sent again only when the gateway answers that it took nothing because it shuts down or has no records. It
  /// is never sent again because a connection broke: see `Error::run_state`.
  /// \throws UsageError The client is closed, or a field is not UTF-8.
  /// \throws Error The run failed; its class says how, its `run_state()` whether it was applied.
  RunResult run(const RunParams& params, const CallOptions& options = {});

  /// Calls a function of an app and returns its partial outputs, which have the result at their end. Nothing is sent
  /// before the first `next()`, and a run is sent again under the same rule, before its first part only.
  /// \throws UsageError A field is not UTF-8.
  [[nodiscard]] RunStream run_stream(RunParams params, CallOptions options = {});

  /// A handle of a new session, which opens with its first call and ends with the handle.
  [[nodiscard]] Session session(std::string app, SessionOptions options = {});

  /// Starts to renew sessions, each at a third of its timeout, until the stream is closed.
  /// \throws UsageError The client is closed, or an id is not UTF-8.
  [[nodiscard]] KeepaliveStream stream_keepalive(std::vector<std::string> session_ids);

  [[nodiscard]] Sessions sessions() const;
  [[nodiscard]] Apps apps() const;

  /// Stops every renewal, cancels what is in flight, and closes the connection as soon as the requests of other threads
  /// have ended with that; handles and streams that are still there do not hold it. May be called twice, and by many
  /// threads at a time.
  void close() noexcept;

 private:
  std::shared_ptr<detail::Core> core_;
};

}  // namespace sessiongateway
