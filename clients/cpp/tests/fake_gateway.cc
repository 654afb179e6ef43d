#include "fake_gateway.h"

#include <google/rpc/status.pb.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <thread>

namespace sessiongateway {

FakeGateway::FakeGateway() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = "127.0.0.1:" + std::to_string(port);
}

FakeGateway::~FakeGateway() {
  server_->Shutdown(std::chrono::system_clock::now());
}

ClientOptions FakeGateway::options() const {
  ClientOptions options{.address = address_};
  options.pacing.drain.maximum = std::chrono::milliseconds(1);
  options.pacing.reconnect.maximum = std::chrono::milliseconds(1);
  return options;
}

grpc::Status FakeGateway::Run(Context* context, const v1::RunRequest* request, v1::RunResponse* response) {
  ++runs;
  return on_run(*context, *request, *response);
}

grpc::Status FakeGateway::RunStream(Context* context, const v1::RunRequest*,
                                    grpc::ServerWriter<v1::RunStreamResponse>* writer) {
  ++runs;
  return on_run_stream(*context, *writer);
}

grpc::Status FakeGateway::GetSession(Context*, const v1::GetSessionRequest*, v1::GetSessionResponse* response) {
  ++gets;
  return on_get(*response->mutable_session());
}

grpc::Status FakeGateway::EndSession(Context* context, const v1::EndSessionRequest* request,
                                     v1::EndSessionResponse* response) {
  response->mutable_session()->set_id(request->session_id());
  response->mutable_session()->set_status(v1::SESSION_STATUS_ENDED);
  return on_end ? on_end(*context, *response->mutable_session()) : grpc::Status::OK;
}

grpc::Status FakeGateway::WatchSessions(Context* context, const v1::WatchSessionsRequest* request,
                                        grpc::ServerWriter<v1::WatchSessionsResponse>* writer) {
  ++watches;
  return on_watch(*context, *request, *writer);
}

grpc::Status FakeGateway::StreamKeepalive(Context*, KeepaliveStream* stream) {
  ++keepalives;
  return on_keepalive(*stream);
}

bool is_left(const grpc::ServerContext& context) {
  // A server of this kind cannot be told; it can only look.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!context.IsCancelled() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return context.IsCancelled();
}

grpc::Status gateway_status(grpc::StatusCode status, v1::ErrorCode code, v1::RunState run_state) {
  v1::ErrorDetail detail;
  detail.set_code(code);
  detail.set_run_state(run_state);
  google::rpc::Status packed;
  packed.add_details()->PackFrom(detail);
  return {status, "as told", packed.SerializeAsString()};
}

}  // namespace sessiongateway
