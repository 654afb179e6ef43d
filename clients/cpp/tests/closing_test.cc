// How connections begin and end.

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <latch>
#include <tuple>
#include <vector>

#include "fake_gateway.h"
#include "raw_server.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;

TEST(Closing, AGatewayThatIsSlowToGreetIsWaitedForAsLongAsTheCallerHasTime) {
  // It takes the connection, and says nothing.
  const RawServer server;
  Client client({.address = server.address()});
  try {
    client.run({.app = "kv"}, {.timeout = 1s});
    FAIL();
  } catch (const DeadlineExceededError& error) {
    EXPECT_EQ(error.run_state(), RunState::not_started);
  }
}

TEST(Closing, TheClientClosesItsConnectionAlthoughHandlesAreLeft) {
  RawServer server;
  Client client({.address = server.address()});
  const auto session = client.session("kv");
  auto stream = client.run_stream({.app = "kv", .input = R"({"find":"me"})"});
  auto reading = std::async(std::launch::async, [&] { return stream.next(); });
  ASSERT_TRUE(server.accept());
  ASSERT_TRUE(server.has_read(R"({"find":"me"})"));
  client.close();
  EXPECT_THROW(reading.get(), CancelledError);
  EXPECT_TRUE(server.is_closed());
}

TEST(Closing, AStreamThatNobodyReadsDoesNotKeepTheConnection) {
  RawServer server;
  Client client({.address = server.address()});
  auto sessions = client.stream_keepalive({"sess_find_me"});
  ASSERT_TRUE(server.accept());
  ASSERT_TRUE(server.has_read("sess_find_me"));
  client.close();
  EXPECT_TRUE(server.is_closed());
}

TEST(Closing, ManyThreadsMayCloseAtATime) {
  FakeGateway gateway;
  gateway.on_run = [](auto&, auto&, v1::RunResponse& response) {
    response.set_session_id("sess_a");
    return grpc::Status::OK;
  };
  gateway.on_keepalive = [](auto&) {
    return gateway_status(grpc::StatusCode::UNAUTHENTICATED, v1::ERROR_CODE_UNAUTHENTICATED, v1::RUN_STATE_UNSPECIFIED);
  };
  Client client(gateway.options());
  std::promise<void> told;
  std::promise<void> go_on;
  auto session = client.session("kv", {.keepalive = true, .on_lost = [&](const Error&) {
                                         told.set_value();
                                         go_on.get_future().wait_for(20s);
                                       }});
  session.call("keys");
  ASSERT_EQ(told.get_future().wait_for(20s), std::future_status::ready);
  // None of them can have finished before all have begun: the thread that they wait for is held.
  std::latch begun(4);
  std::vector<std::future<void>> closers;
  for (int index = 0; index < 4; ++index) {
    closers.push_back(std::async(std::launch::async, [&] {
      begun.count_down();
      client.close();
    }));
  }
  begun.wait();
  EXPECT_EQ(closers.back().wait_for(100ms), std::future_status::timeout);
  go_on.set_value();
  for (auto& each : closers) each.get();
  EXPECT_THROW(session.call("keys"), UsageError);
}

TEST(Closing, WhatWasMovedFromRefusesEverythingButTheEnd) {
  Client client({.address = "127.0.0.1:1"});
  auto session = client.session("kv");
  auto stream = client.run_stream({.app = "kv"});
  auto sessions = client.stream_keepalive({});
  const Client other_client = std::move(client);
  const Session other_session = std::move(session);
  const RunStream other_stream = std::move(stream);
  const KeepaliveStream other_sessions = std::move(sessions);
  EXPECT_THROW(client.run({.app = "kv"}), UsageError);
  EXPECT_THROW(std::ignore = client.run_stream({.app = "kv"}), UsageError);
  EXPECT_THROW(std::ignore = client.session("kv"), UsageError);
  EXPECT_THROW(std::ignore = client.sessions(), UsageError);
  EXPECT_THROW(std::ignore = client.apps(), UsageError);
  EXPECT_THROW(session.call("keys"), UsageError);
  EXPECT_THROW(session.end(), UsageError);
  EXPECT_THROW(stream.next(), UsageError);
  EXPECT_THROW(sessions.ended(), UsageError);
  EXPECT_NO_THROW(client.close());
  EXPECT_NO_THROW(stream.close());
}

}  // namespace
}  // namespace sessiongateway
