// A gateway in this process that answers what a test says.
#pragma once

#include <grpcpp/server.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "sessiongateway/options.h"
#include "sessiongateway/v1/sessions.grpc.pb.h"

namespace sessiongateway {

class FakeGateway final : public v1::SessionService::Service {
 public:
  using Context = grpc::ServerContext;

  /// What the requests are answered; a test sets those that it needs, before it sends any.
  std::function<grpc::Status(Context&, const v1::RunRequest&, v1::RunResponse&)> on_run;
  std::function<grpc::Status(Context&, grpc::ServerWriter<v1::RunStreamResponse>&)> on_run_stream;
  std::function<grpc::Status(v1::Session&)> on_get;
  std::function<grpc::Status(Context&, v1::Session&)> on_end;
  std::function<grpc::Status(Context&, const v1::WatchSessionsRequest&, grpc::ServerWriter<v1::WatchSessionsResponse>&)>
      on_watch;
  using KeepaliveStream = grpc::ServerReaderWriter<v1::StreamKeepaliveResponse, v1::StreamKeepaliveRequest>;
  std::function<grpc::Status(KeepaliveStream&)> on_keepalive;

  FakeGateway();
  ~FakeGateway() override;

  const std::string& address() const { return address_; }

  /// Where this is, with waits that are over at once.
  ClientOptions options() const;

  /// How many requests of a kind have come.
  std::atomic<int> runs = 0;
  std::atomic<int> gets = 0;
  std::atomic<int> watches = 0;
  std::atomic<int> keepalives = 0;

  grpc::Status Run(Context* context, const v1::RunRequest* request, v1::RunResponse* response) override;
  grpc::Status RunStream(Context* context, const v1::RunRequest* request,
                         grpc::ServerWriter<v1::RunStreamResponse>* writer) override;
  grpc::Status GetSession(Context* context, const v1::GetSessionRequest* request,
                          v1::GetSessionResponse* response) override;
  grpc::Status EndSession(Context* context, const v1::EndSessionRequest* request,
                          v1::EndSessionResponse* response) override;
  grpc::Status WatchSessions(Context* context, const v1::WatchSessionsRequest* request,
                             grpc::ServerWriter<v1::WatchSessionsResponse>* writer) override;
  grpc::Status StreamKeepalive(Context* context, KeepaliveStream* stream) override;

 private:
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

/// Waits until the caller of a request has gone; false if it stays.
bool is_left(const grpc::ServerContext& context);

/// A status as a gateway makes it.
grpc::Status gateway_status(grpc::StatusCode status, v1::ErrorCode code, v1::RunState run_state);

}  // namespace sessiongateway
