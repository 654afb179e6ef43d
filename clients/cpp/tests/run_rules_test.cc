// When a run is sent again, and what its caller is told when it is not.

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <latch>
#include <limits>
#include <stop_token>
#include <thread>

#include "fake_gateway.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;

const grpc::Status kBroken(grpc::StatusCode::UNAVAILABLE, "broken");
const grpc::Status kDraining =
    gateway_status(grpc::StatusCode::UNAVAILABLE, v1::ERROR_CODE_GATEWAY_DRAINING, v1::RUN_STATE_NOT_STARTED);
const grpc::Status kNoStore =
    gateway_status(grpc::StatusCode::UNAVAILABLE, v1::ERROR_CODE_STORE_UNAVAILABLE, v1::RUN_STATE_NOT_STARTED);

TEST(RunRules, ABrokenConnectionIsNeverAnsweredWithASecondRun) {
  FakeGateway gateway;
  gateway.on_run = [](auto&, auto&, auto&) { return kBroken; };
  Client client(gateway.options());
  try {
    client.run({.app = "kv"});
    FAIL();
  } catch (const UnavailableError& error) {
    EXPECT_EQ(error.run_state(), RunState::unknown);
  }
  EXPECT_EQ(gateway.runs, 1);
}

TEST(RunRules, AGatewayThatTookNothingIsAskedAgain) {
  for (const grpc::Status& refusal : {kDraining, kNoStore}) {
    FakeGateway gateway;
    gateway.on_run = [&](auto&, auto&, v1::RunResponse& response) {
      if (gateway.runs < 3) return refusal;
      response.set_output_json("{}");
      return grpc::Status::OK;
    };
    EXPECT_EQ(Client(gateway.options()).run({.app = "kv"}).output, "{}");
    EXPECT_EQ(gateway.runs, 3);
  }
}

TEST(RunRules, AGatewayThatTakesNothingIsAskedAFewTimesOnly) {
  FakeGateway gateway;
  gateway.on_run = [](auto&, auto&, auto&) { return kDraining; };
  EXPECT_THROW(Client(gateway.options()).run({.app = "kv"}), GatewayDrainingError);
  EXPECT_EQ(gateway.runs, 4);
}

TEST(RunRules, ARefusalThatMayHaveRunIsNotRepeated) {
  FakeGateway gateway;
  gateway.on_run = [](auto&, auto&, auto&) {
    return gateway_status(grpc::StatusCode::UNAVAILABLE, v1::ERROR_CODE_STORE_UNAVAILABLE, v1::RUN_STATE_UNKNOWN);
  };
  EXPECT_THROW(Client(gateway.options()).run({.app = "kv"}), StoreUnavailableError);
  EXPECT_EQ(gateway.runs, 1);
}

TEST(RunRules, ReadingASessionIsRepeatedWhenTheConnectionBreaks) {
  FakeGateway gateway;
  gateway.on_get = [&](v1::Session& session) {
    session.set_id("sess_x");
    session.set_status(static_cast<v1::SessionStatus>(77));
    return gateway.gets < 2 ? kBroken : grpc::Status::OK;
  };
  const auto info = Client(gateway.options()).sessions().get("sess_x");
  EXPECT_EQ(info.id, "sess_x");
  EXPECT_EQ(to_string(info.status), "unknown_77");
  EXPECT_EQ(gateway.gets, 2);
}

TEST(RunRules, ARunWithoutAConnectionWasNotStarted) {
  std::string address;
  { address = FakeGateway().address(); }
  Client client({.address = address});
  try {
    client.run({.app = "kv"}, {.timeout = 20s});
    FAIL();
  } catch (const UnavailableError& error) {
    EXPECT_EQ(error.run_state(), RunState::not_started);
  }
}

TEST(RunRules, ADeadlineEndsARunOnBothSides) {
  FakeGateway gateway;
  std::promise<bool> left;
  gateway.on_run = [&](grpc::ServerContext& context, auto&, auto&) {
    if (gateway.runs == 2) left.set_value(is_left(context));
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  // The time of the second is not for connecting.
  client.run({.app = "kv"});
  try {
    client.run({.app = "kv"}, {.timeout = 500ms});
    FAIL();
  } catch (const DeadlineExceededError& error) {
    EXPECT_EQ(error.run_state(), RunState::unknown);
  }
  EXPECT_TRUE(left.get_future().get());
}

TEST(RunRules, AStopRequestCancelsARunOnBothSides) {
  FakeGateway gateway;
  std::latch arrived(1);
  std::promise<bool> left;
  gateway.on_run = [&](grpc::ServerContext& context, auto&, auto&) {
    arrived.count_down();
    left.set_value(is_left(context));
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  std::stop_source stop;
  const std::jthread canceller([&] {
    arrived.wait();
    stop.request_stop();
  });
  EXPECT_THROW(client.run({.app = "kv"}, {.stop = stop.get_token()}), CancelledError);
  EXPECT_TRUE(left.get_future().get());
}

TEST(RunRules, ClosingTheClientCancelsWhatIsInFlightAndRefusesWhatComes) {
  FakeGateway gateway;
  std::latch arrived(1);
  gateway.on_run = [&](grpc::ServerContext& context, auto&, auto&) {
    arrived.count_down();
    is_left(context);
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  const std::jthread closer([&] {
    arrived.wait();
    client.close();
  });
  EXPECT_THROW(client.run({.app = "kv"}), CancelledError);
  EXPECT_THROW(client.run({.app = "kv"}), UsageError);
}

TEST(RunRules, AStreamWithoutAResultHasFailed) {
  FakeGateway gateway;
  gateway.on_run_stream = [](auto&, grpc::ServerWriter<v1::RunStreamResponse>& writer) {
    v1::RunStreamResponse part;
    part.set_partial_json(R"({"n":1})");
    writer.Write(part);
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto stream = client.run_stream({.app = "kv"});
  EXPECT_EQ(stream.next(), R"({"n":1})");
  try {
    stream.next();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "INVALID_RESPONSE");
    EXPECT_EQ(error.run_state(), RunState::unknown);
  }
  EXPECT_EQ(stream.next(), std::nullopt);
  EXPECT_THROW(stream.result(), UsageError);
}

TEST(RunRules, DroppingAStreamCancelsItsRun) {
  FakeGateway gateway;
  std::promise<bool> left;
  gateway.on_run_stream = [&](grpc::ServerContext& context, grpc::ServerWriter<v1::RunStreamResponse>& writer) {
    v1::RunStreamResponse part;
    part.set_partial_json("{}");
    writer.Write(part);
    left.set_value(is_left(context));
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  client.run_stream({.app = "kv"}).next();
  EXPECT_TRUE(left.get_future().get());
}

TEST(RunRules, AnOutputThatIsNoJsonIsAnErrorAndNotAnotherOutput) {
  google::protobuf::Value not_a_number;
  not_a_number.set_number_value(std::numeric_limits<double>::quiet_NaN());
  google::protobuf::Value in_a_list;
  *in_a_list.mutable_list_value()->add_values() = not_a_number;
  for (const auto& value : {not_a_number, in_a_list, google::protobuf::Value()}) {
    FakeGateway gateway;
    gateway.on_run = [&](auto&, auto&, v1::RunResponse& response) {
      (*response.mutable_output()->mutable_fields())["n"] = value;
      return grpc::Status::OK;
    };
    try {
      Client(gateway.options()).run({.app = "kv"});
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "INVALID_RESPONSE");
      EXPECT_EQ(error.run_state(), RunState::unknown);
    }
  }
}

TEST(RunRules, TheKeyGoesWithARequest) {
  FakeGateway gateway;
  std::string seen;
  gateway.on_run = [&](grpc::ServerContext& context, auto&, auto&) {
    const auto found = context.client_metadata().find("authorization");
    if (found != context.client_metadata().end()) seen.assign(found->second.data(), found->second.size());
    return grpc::Status::OK;
  };
  auto options = gateway.options();
  options.api_key = "k-123";
  Client(options).run({.app = "kv"});
  EXPECT_EQ(seen, "Bearer k-123");
}

}  // namespace
}  // namespace sessiongateway
