// A watch, against a gateway that breaks it.

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <mutex>
#include <tuple>
#include <vector>

#include "fake_gateway.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;

const WaitOptions kSoon{.timeout = 20s};

v1::WatchSessionsResponse message(v1::SessionEvent event, const std::string& token) {
  v1::WatchSessionsResponse made;
  made.set_event(event);
  made.set_resume_token(token);
  if (event != v1::SESSION_EVENT_WATCHING) made.mutable_session()->set_id("sess_" + token);
  return made;
}

TEST(Watch, GoesOnBehindTheLastEventThatWasReadWhenItsStreamBreaks) {
  FakeGateway gateway;
  std::mutex mutex;
  std::vector<std::string> tokens;
  gateway.on_watch = [&](grpc::ServerContext& context, const v1::WatchSessionsRequest& request, auto& writer) {
    {
      const std::lock_guard lock(mutex);
      tokens.push_back(request.resume_token());
    }
    switch (gateway.watches) {
      case 1:
        writer.Write(message(v1::SESSION_EVENT_WATCHING, "0"));
        writer.Write(message(v1::SESSION_EVENT_CREATED, "1"));
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "broken");
      case 2:
        // Closed without a word.
        writer.Write(message(v1::SESSION_EVENT_ENDED, "2"));
        return grpc::Status::OK;
      default:
        writer.Write(message(v1::SESSION_EVENT_WORKER_LOST, "3"));
        is_left(context);
        return grpc::Status::OK;
    }
  };
  Client client(gateway.options());
  auto watch = client.sessions().watch();
  EXPECT_EQ(watch.resume_token(), "0");
  for (const char* token : {"1", "2", "3"}) {
    const auto event = watch.next(kSoon);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->resume_token, token);
    EXPECT_EQ(watch.resume_token(), token);
  }
  const std::lock_guard lock(mutex);
  EXPECT_EQ(tokens, (std::vector<std::string>{"", "1", "2"}));
}

TEST(Watch, ARefusedTokenIsAnError) {
  FakeGateway gateway;
  gateway.on_watch = [](auto&, auto&, auto&) {
    return gateway_status(grpc::StatusCode::INVALID_ARGUMENT, v1::ERROR_CODE_INVALID_REQUEST,
                          v1::RUN_STATE_UNSPECIFIED);
  };
  Client client(gateway.options());
  EXPECT_THROW(std::ignore = client.sessions().watch({.resume_token = "old"}), InvalidRequestError);
  EXPECT_EQ(gateway.watches, 1);
}

TEST(Watch, ThatNeverStoodIsAnErrorWhenTheGatewayCannotBeReached) {
  std::string address;
  { address = FakeGateway().address(); }
  Client client({.address = address});
  EXPECT_THROW(std::ignore = client.sessions().watch(), UnavailableError);
}

TEST(Watch, AWaitThatEndsEarlyLosesNoEvent) {
  FakeGateway gateway;
  std::promise<void> go_on;
  gateway.on_watch = [&](grpc::ServerContext& context, auto&, auto& writer) {
    writer.Write(message(v1::SESSION_EVENT_WATCHING, "0"));
    go_on.get_future().wait();
    writer.Write(message(v1::SESSION_EVENT_CREATED, "1"));
    is_left(context);
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto watch = client.sessions().watch();
  EXPECT_FALSE(watch.next({.timeout = 1ms}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(watch.next({.stop = stop.get_token()}));
  go_on.set_value();
  const auto event = watch.next(kSoon);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->session->id, "sess_1");
}

TEST(Watch, SilenceForTooLongOpensItAgain) {
  FakeGateway gateway;
  gateway.on_watch = [&](grpc::ServerContext& context, auto&, auto& writer) {
    writer.Write(message(gateway.watches == 1 ? v1::SESSION_EVENT_WATCHING : v1::SESSION_EVENT_CREATED, "1"));
    is_left(context);
    return grpc::Status::OK;
  };
  auto options = gateway.options();
  options.pacing.watch_timeout = 500ms;
  Client client(options);
  auto watch = client.sessions().watch();
  EXPECT_TRUE(watch.next(kSoon));
  EXPECT_EQ(gateway.watches, 2);
}

TEST(Watch, ClosingItEndsAWaitInAnotherThread) {
  FakeGateway gateway;
  gateway.on_watch = [](grpc::ServerContext& context, auto&, auto& writer) {
    writer.Write(message(v1::SESSION_EVENT_WATCHING, "0"));
    writer.Write(message(v1::SESSION_EVENT_CREATED, "1"));
    is_left(context);
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto watch = client.sessions().watch();
  std::promise<void> reading;
  auto waiting = std::async(std::launch::async, [&] {
    watch.next();
    reading.set_value();
    return watch.next();
  });
  reading.get_future().wait();
  watch.close();
  EXPECT_FALSE(waiting.get());
}

}  // namespace
}  // namespace sessiongateway
