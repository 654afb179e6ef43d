// Renewals over the shared stream, against a gateway that breaks it.

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <set>

#include "fake_gateway.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;

const WaitOptions kSoon{.timeout = 20s};

v1::StreamKeepaliveResponse renewed(const std::string& session_id, int timeout) {
  v1::StreamKeepaliveResponse answer;
  answer.set_session_id(session_id);
  answer.mutable_session()->set_id(session_id);
  answer.mutable_session()->set_session_timeout(timeout);
  return answer;
}

v1::StreamKeepaliveResponse lost(const std::string& session_id) {
  v1::StreamKeepaliveResponse answer;
  answer.set_session_id(session_id);
  answer.mutable_error()->set_code(v1::ERROR_CODE_SESSION_ENDED);
  answer.mutable_error()->set_end_reason(v1::END_REASON_WORKER_LOST);
  return answer;
}

void renew_all(FakeGateway::KeepaliveStream& stream, int timeout) {
  v1::StreamKeepaliveRequest request;
  while (stream.Read(&request)) {
    for (const auto& each : request.session_ids()) stream.Write(renewed(each, timeout));
  }
}

TEST(Renewal, ABrokenStreamIsOpenedAgainAndAsksForEverySession) {
  FakeGateway gateway;
  gateway.on_keepalive = [&](FakeGateway::KeepaliveStream& stream) {
    if (gateway.keepalives < 3) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "broken");
    renew_all(stream, 60);
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto stream = client.stream_keepalive({"a", "b"});
  std::set<std::string> seen;
  for (int index = 0; index < 2; ++index) {
    const auto event = stream.next(kSoon);
    ASSERT_TRUE(event && event->session);
    seen.insert(event->session_id);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(gateway.keepalives, 3);
}

TEST(Renewal, ALostSessionIsToldWithItsReasonAndTheOthersGoOn) {
  FakeGateway gateway;
  gateway.on_keepalive = [](FakeGateway::KeepaliveStream& stream) {
    v1::StreamKeepaliveRequest request;
    while (stream.Read(&request)) {
      for (const auto& each : request.session_ids()) stream.Write(each == "bad" ? lost(each) : renewed(each, 1));
    }
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto stream = client.stream_keepalive({"good", "bad"});
  int renewals = 0;
  std::shared_ptr<const Error> reason;
  while (renewals < 3 || !reason) {
    const auto event = stream.next(kSoon);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->error != nullptr, event->session_id == "bad");
    if (event->error) reason = event->error;
    if (event->session) ++renewals;
  }
  EXPECT_EQ(reason->end_reason(), EndReason::worker_lost);
  EXPECT_THROW(reason->raise(), SessionEndedError);
  EXPECT_FALSE(stream.ended());
}

TEST(Renewal, AStreamEndsWhenAllItsSessionsAreLost) {
  FakeGateway gateway;
  gateway.on_keepalive = [](FakeGateway::KeepaliveStream& stream) {
    v1::StreamKeepaliveRequest request;
    while (stream.Read(&request)) {
      for (const auto& each : request.session_ids()) stream.Write(lost(each));
    }
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto stream = client.stream_keepalive({"a", "b"});
  int losses = 0;
  for (const auto& event : stream) losses += event.error ? 1 : 0;
  EXPECT_EQ(losses, 2);
  EXPECT_TRUE(stream.ended());
}

TEST(Renewal, ARefusalThatIsFinalLosesAllSessions) {
  FakeGateway gateway;
  gateway.on_keepalive = [](auto&) {
    return gateway_status(grpc::StatusCode::UNAUTHENTICATED, v1::ERROR_CODE_UNAUTHENTICATED, v1::RUN_STATE_UNSPECIFIED);
  };
  Client client(gateway.options());
  auto stream = client.stream_keepalive({"a"});
  const auto event = stream.next(kSoon);
  ASSERT_TRUE(event && event->error);
  EXPECT_THROW(event->error->raise(), UnauthenticatedError);
}

TEST(Renewal, AGatewayThatSaysNothingCountsAsGone) {
  FakeGateway gateway;
  gateway.on_keepalive = [&](FakeGateway::KeepaliveStream& stream) {
    if (gateway.keepalives > 1) {
      renew_all(stream, 60);
      return grpc::Status::OK;
    }
    v1::StreamKeepaliveRequest request;
    while (stream.Read(&request)) {
    }
    return grpc::Status::OK;
  };
  auto options = gateway.options();
  options.pacing.reply_timeout = 50ms;
  Client client(options);
  auto stream = client.stream_keepalive({"a"});
  const auto event = stream.next(kSoon);
  ASSERT_TRUE(event && event->session);
  EXPECT_EQ(gateway.keepalives, 2);
}

TEST(Renewal, AllStreamsOfAClientShareOne) {
  FakeGateway gateway;
  gateway.on_keepalive = [&](FakeGateway::KeepaliveStream& stream) {
    renew_all(stream, 60);
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto first = client.stream_keepalive({"a"});
  ASSERT_TRUE(first.next(kSoon));
  auto second = client.stream_keepalive({"a", "b"});
  ASSERT_TRUE(second.next(kSoon));
  ASSERT_TRUE(second.next(kSoon));
  first.close();
  EXPECT_TRUE(first.ended());
  EXPECT_FALSE(second.ended());
  EXPECT_EQ(gateway.keepalives, 1);
}

TEST(Renewal, AStopEndsTheWaitingAndClosingTheClientEndsTheStream) {
  FakeGateway gateway;
  gateway.on_keepalive = [](FakeGateway::KeepaliveStream& stream) {
    renew_all(stream, 3600);
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto stream = client.stream_keepalive({"a"});
  ASSERT_TRUE(stream.next(kSoon));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(stream.next({.stop = stop.get_token()}));
  EXPECT_FALSE(stream.ended());
  client.close();
  EXPECT_FALSE(stream.next());
  EXPECT_TRUE(stream.ended());
}

}  // namespace
}  // namespace sessiongateway
