// The connection to a gateway, and one request over it.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "deadline.h"
#include "in_flight.h"
#include "keepalive_call.h"
#include "read_call.h"
#include "sessiongateway/errors.h"
#include "sessiongateway/options.h"
#include "sessiongateway/v1/apps.grpc.pb.h"
#include "sessiongateway/v1/sessions.grpc.pb.h"

namespace sessiongateway::detail {

using RunStreamCall = ReadCall<v1::RunRequest, v1::RunStreamResponse>;
using WatchCall = ReadCall<v1::WatchSessionsRequest, v1::WatchSessionsResponse>;

/// One channel, which connects with the first request.
class Transport {
 public:
  /// \throws UsageError The address or the key cannot be used.
  explicit Transport(const ClientOptions& options);

  v1::SessionService::Stub& sessions() { return *sessions_; }
  v1::AppService::Stub& apps() { return *apps_; }

  /// Sends a request that is safe to repeat, which gRPC does by itself.
  /// \throws Error It failed.
  template <class Stub, class Request, class Response>
  Response send(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                const Request& request, const Deadline& deadline, const std::stop_token& stop) {
    refuse_closed();
    const Cancellation cancelled(stop, closed());
    return call(stub, method, request, deadline, cancelled.token(), false);
  }

  /// Sends a run, once, and only over a connection that stands.
  /// \throws Error It failed; its run state is `not_started` if it was never sent.
  v1::RunResponse run(const v1::RunRequest& request, const Deadline& deadline, const std::stop_token& stop);

  /// Sends a run that answers in parts, once, and only over a connection that stands. Its errors show when it is read.
  /// \throws Error There is no connection; the run state is `not_started`.
  std::shared_ptr<RunStreamCall> run_stream(const v1::RunRequest& request, const Deadline& deadline,
                                            const std::stop_token& stop);

  /// Opens a watch; errors show when it is read.
  std::shared_ptr<WatchCall> watch(v1::WatchSessionsRequest request);

  /// Opens a keepalive stream; errors show when it is used.
  std::shared_ptr<KeepaliveCall> keepalive(std::function<void()> notify);

  /// What a request failed with, thrown. `stop` tells a caller's cancellation from a gateway that went away.
  [[noreturn]] void fail(const grpc::Status& status, const std::stop_token& stop, bool is_run) const;

  /// Throws that the caller does not want an answer any more.
  [[noreturn]] void fail_cancelled(std::optional<RunState> run_state) const;

  /// Requests a stop when the client is closed.
  std::stop_token closed() const { return closing_.get_token(); }

  /// \throws UsageError The client is closed.
  void refuse_closed() const;

  /// Cancels what is in flight.
  void close() noexcept { closing_.request_stop(); }

 private:
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
  void connect(const Deadline& deadline, const std::stop_token& stop);

  const std::string address_;
  const std::optional<std::string> authorization_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::SessionService::Stub> sessions_;
  const std::unique_ptr<v1::AppService::Stub> apps_;
  std::stop_source closing_;
  // The last member: it waits for all calls before the channel goes.
  InFlight in_flight_;
};

}  // namespace sessiongateway::detail
