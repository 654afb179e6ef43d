// The channel to a gateway, for as long as anything uses it.
#pragma once

#include <grpcpp/channel.h>

#include <memory>

#include "in_flight.h"
#include "sessiongateway/v1/apps.grpc.pb.h"
#include "sessiongateway/v1/sessions.grpc.pb.h"

namespace sessiongateway::detail {

/// Its last owner closes it, once the calls that gRPC holds are done with: all of them must have been cancelled.
struct Connection {
  explicit Connection(std::shared_ptr<grpc::Channel> to)
      : channel(std::move(to)),
        sessions(v1::SessionService::NewStub(channel)),
        apps(v1::AppService::NewStub(channel)) {}

  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::SessionService::Stub> sessions;
  const std::unique_ptr<v1::AppService::Stub> apps;
  // The last member: it waits for all calls before the channel goes.
  InFlight in_flight;
};

}  // namespace sessiongateway::detail
