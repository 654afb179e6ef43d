// Renewals over the shared stream, against a gateway that breaks it.

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <set>
#include <string>
#include <vector>

#include "fake_gateway.h"
#include "raw_server.h"
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

TEST(Renewal, AStoreThatIsAwayLosesNoSession) {
  FakeGateway gateway;
  gateway.on_keepalive = [&](FakeGateway::KeepaliveStream& stream) {
    if (gateway.keepalives < 3) {
      v1::StreamKeepaliveRequest request;
      stream.Read(&request);
      v1::StreamKeepaliveResponse answer;
      answer.set_session_id("a");
      answer.mutable_error()->set_code(v1::ERROR_CODE_STORE_UNAVAILABLE);
      answer.mutable_error()->mutable_retry_after()->set_nanos(1'000'000);
      stream.Write(answer);
      // It stays on the stream, which is the client's to leave.
      while (stream.Read(&request)) {
      }
      return grpc::Status::OK;
    }
    renew_all(stream, 60);
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto stream = client.stream_keepalive({"a", "b"});
  std::set<std::string> renewed;
  while (renewed.size() < 2) {
    const auto event = stream.next(kSoon);
    ASSERT_TRUE(event && event->session);
    renewed.insert(event->session_id);
  }
  EXPECT_EQ(gateway.keepalives, 3);
}

TEST(Renewal, AGatewayThatTakesNothingIsWaitedForWithoutASpin) {
  // It never says that there is room for more than HTTP/2 allows at the start, which is less than one message.
  RawServer server;
  ClientOptions options{.address = server.address()};
  options.pacing.reply_timeout = 2s;
  Client client(options);
  std::vector<std::string> session_ids;
  for (int number = 0; number < 1500; ++number) session_ids.push_back(std::string(1000, 'a') + std::to_string(number));
  const auto stream = client.stream_keepalive(session_ids);
  ASSERT_TRUE(server.accept());
  const std::clock_t before = std::clock();
  // RST_STREAM of the first stream, for CANCEL.
  ASSERT_TRUE(server.has_read(std::string("\0\0\4\3\0\0\0\0\1\0\0\0\x8", 13)));
  const double worked = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  // A spin would take most of the two seconds, even where the time within the kernel is not counted.
  EXPECT_LT(worked, 0.4);
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
  options.pacing.reply_timeout = 500ms;
  Client client(options);
  auto stream = client.stream_keepalive({"a"});
  const auto event = stream.next(kSoon);
  ASSERT_TRUE(event && event->session);
  EXPECT_GE(gateway.keepalives, 2);
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
