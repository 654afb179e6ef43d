// The connection to a gateway, and one request over it.
#pragma once

#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>

#include "connection.h"
#include "deadline.h"
#include "keepalive_call.h"
#include "read_call.h"
#include "sessiongateway/errors.h"
#include "sessiongateway/options.h"

namespace sessiongateway::detail {

using RunStreamCall = ReadCall<v1::RunRequest, v1::RunStreamResponse>;
using WatchCall = ReadCall<v1::WatchSessionsRequest, v1::WatchSessionsResponse>;

/// One connection, which is made with the first request.
class Transport {
 public:
  /// \throws UsageError The address or the key cannot be used.
  explicit Transport(const ClientOptions& options);

  /// Sends a request that is safe to repeat, which gRPC does by itself.
  /// \throws UsageError The client is closed.
  /// \throws Error It failed.
  template <class Stub, class Request, class Response>
  Response send(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), const Request& request,
                const Deadline& deadline, const std::stop_token& stop) {
    refuse_closed();
    const auto connection = open({}, std::nullopt);
    const Cancellation cancelled(stop, closed());
    return call(stub<Stub>(*connection), method, request, deadline, cancelled.token(), false);
  }

  /// Sends a run, once, and only over a connection that stands.
  /// \throws Error It failed; its run state is `not_started` if it was never sent.
  v1::RunResponse run(const v1::RunRequest& request, const Deadline& deadline, const std::stop_token& stop);

  /// Sends a run that answers in parts, once, and only over a connection that stands. Its errors show when it is read.
  /// \throws Error There is no connection; the run state is `not_started`.
  std::shared_ptr<RunStreamCall> run_stream(const v1::RunRequest& request, const Deadline& deadline,
                                            const std::stop_token& stop);

  /// Opens a watch; errors show when it is read. Null if the client is closed.
  std::shared_ptr<WatchCall> watch(v1::WatchSessionsRequest request);

  /// Opens a keepalive stream; errors show when it is used.
  std::shared_ptr<KeepaliveCall> keepalive(const std::shared_ptr<Connection>& connection, std::function<void()> notify);

  /// The connection, for as long as the caller needs it; null if the client is closed.
  std::shared_ptr<Connection> connection() const;

  /// What a request failed with, thrown. `stop` tells a caller's cancellation from a gateway that went away.
  [[noreturn]] void fail(const grpc::Status& status, const std::stop_token& stop, bool is_run) const;

  /// Throws that the caller does not want an answer any more.
  [[noreturn]] void fail_cancelled(std::optional<RunState> run_state) const;

  /// Requests a stop when the client is closed.
  std::stop_token closed() const { return closing_.get_token(); }

  /// \throws UsageError The client is closed.
  void refuse_closed() const;

  /// Cancels what is in flight, and refuses what comes.
  void close() noexcept { closing_.request_stop(); }

  /// Gives the connection up, after `close`. It is closed when the last request that was in flight is over.
  void disconnect() noexcept;

 private:
  template <class Stub>
  static Stub& stub(Connection& connection) {
    if constexpr (std::is_same_v<Stub, v1::AppService::Stub>) {
      return *connection.apps;
    } else {
      return *connection.sessions;
    }
  }

  template <class Stub, class Request, class Response>
  Response call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                const Request& request, const Deadline& deadline, const std::stop_token& stop, bool is_run) {
    grpc::ClientContext context;
    prepare(context);
    deadline.apply(context);
    Response response;
    grpc::Status status;
    {
      const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
      status = (stub.*method)(&context, request, &response);
    }
    if (!status.ok()) fail(status, stop, is_run);
    return response;
  }

  void prepare(grpc::ClientContext& context) const;
  std::shared_ptr<Connection> open(const std::stop_token& stop, std::optional<RunState> run_state) const;
  void let_go(std::shared_ptr<Connection> connection, const std::function<void()>& cancel) const;
  void connect(grpc::Channel& channel, const Deadline& deadline, const std::stop_token& stop) const;

  const std::string address_;
  const std::optional<std::string> authorization_;
  std::stop_source closing_;
  mutable std::mutex mutex_;
  std::shared_ptr<Connection> connection_;
};

}  // namespace sessiongateway::detail
