// The generated code is enough: nothing of the client is used here but the way to start a gateway.

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "gateway_process.h"
#include "sessiongateway/v1/sessions.grpc.pb.h"

namespace sessiongateway {
namespace {

TEST(BareStub, RunsAFunctionAndReadsTheDetailsOfAnError) {
  const GatewayProcess gateway;
  const auto channel = grpc::CreateChannel(gateway.address(), grpc::InsecureChannelCredentials());
  const auto stub = v1::SessionService::NewStub(channel);
  v1::RunRequest request;
  request.set_app("kv");
  request.set_function("keys");
  (*request.mutable_input()->mutable_fields())["prefix"].set_string_value("a");
  v1::RunResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->Run(&context, request, &response).ok());
    EXPECT_EQ(response.output().fields().at("total").number_value(), 0);
  }
  request.set_app("nope");
  grpc::ClientContext context;
  const grpc::Status status = stub->Run(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  google::rpc::Status packed;
  ASSERT_TRUE(packed.ParseFromString(status.error_details()));
  google::rpc::ErrorInfo info;
  v1::ErrorDetail detail;
  for (const auto& each : packed.details()) {
    if (each.Is<google::rpc::ErrorInfo>()) each.UnpackTo(&info);
    if (each.Is<v1::ErrorDetail>()) each.UnpackTo(&detail);
  }
  EXPECT_EQ(info.reason(), "APP_NOT_FOUND");
  EXPECT_EQ(info.metadata().at("app"), "nope");
  EXPECT_EQ(detail.code(), v1::ERROR_CODE_APP_NOT_FOUND);
  EXPECT_EQ(detail.run_state(), v1::RUN_STATE_NOT_STARTED);
}

}  // namespace
}  // namespace sessiongateway
