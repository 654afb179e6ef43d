// Session handles, against a gateway that says what a test needs.

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "core.h"
#include "fake_gateway.h"
#include "session_state.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;

class Handle : public testing::Test {
 protected:
  Handle() {
    gateway.on_run = [](auto&, auto&, v1::RunResponse& response) {
      response.set_session_id("sess_a");
      response.set_output_json("{}");
      return grpc::Status::OK;
    };
    gateway.on_keepalive = [](auto&) {
      return gateway_status(grpc::StatusCode::UNAUTHENTICATED, v1::ERROR_CODE_UNAUTHENTICATED,
                            v1::RUN_STATE_UNSPECIFIED);
    };
  }

  /// Opens the handle of a session that is lost at once.
  Session opened(Client& client, std::function<void(const Error&)> on_lost) {
    auto session = client.session("kv", {.keepalive = true, .on_lost = std::move(on_lost)});
    session.call("keys");
    return session;
  }

  FakeGateway gateway;
};

TEST_F(Handle, MayBeEndedByTheOnLostOfAnotherOfTheSameSession) {
  std::promise<void> opened_both;
  const auto both = opened_both.get_future().share();
  gateway.on_keepalive = [both](auto&) {
    both.wait_for(20s);
    return gateway_status(grpc::StatusCode::UNAUTHENTICATED, v1::ERROR_CODE_UNAUTHENTICATED, v1::RUN_STATE_UNSPECIFIED);
  };
  Client client(gateway.options());
  std::vector<std::unique_ptr<Session>> sessions;
  std::promise<void> ended;
  for (const std::size_t other : {1, 0}) {
    sessions.push_back(std::make_unique<Session>(opened(client, [&, other](const Error&) {
      // The other one is then told nothing.
      sessions[other]->end();
      ended.set_value();
    })));
  }
  opened_both.set_value();
  EXPECT_EQ(ended.get_future().wait_for(20s), std::future_status::ready);
}

TEST_F(Handle, IsNotGoneBeforeItsOnLostHasReturnedWhichHasEndedIt) {
  Client client(gateway.options());
  std::promise<Session*> made;
  std::promise<void> ended;
  std::promise<void> go_on;
  auto session = std::make_unique<Session>(opened(client, [&](const Error&) {
    made.get_future().get()->end();
    ended.set_value();
    go_on.get_future().wait_for(20s);
  }));
  made.set_value(session.get());
  ASSERT_EQ(ended.get_future().wait_for(20s), std::future_status::ready);
  auto gone = std::async(std::launch::async, [&] { session.reset(); });
  EXPECT_EQ(gone.wait_for(200ms), std::future_status::timeout);
  go_on.set_value();
  gone.get();
}

TEST_F(Handle, ItsOnLostMayDestroyItAndTheClient) {
  auto client = std::make_unique<Client>(gateway.options());
  std::unique_ptr<Session> session;
  std::promise<void> made;
  std::promise<void> gone;
  session = std::make_unique<Session>(opened(*client, [&](const Error&) {
    made.get_future().wait();
    session.reset();
    client.reset();
    gone.set_value();
  }));
  made.set_value();
  ASSERT_EQ(gone.get_future().wait_for(20s), std::future_status::ready);
  EXPECT_FALSE(client);
}

TEST_F(Handle, AnotherThreadThatReadsOnLetsTheOneBeforeItWaitForItsTurn) {
  std::promise<void> go_on;
  gateway.on_run_stream = [&](auto&, grpc::ServerWriter<v1::RunStreamResponse>& writer) {
    v1::RunStreamResponse part;
    part.set_partial_json("{}");
    writer.Write(part);
    go_on.get_future().wait_for(20s);
    part.mutable_result()->set_session_id("sess_a");
    writer.Write(part);
    return grpc::Status::OK;
  };
  Client client(gateway.options());
  auto session = client.session("kv");
  auto stream = session.stream("rows");
  ASSERT_TRUE(stream.next());
  EXPECT_THROW(session.call("keys"), UsageError);
  auto reading = std::async(std::launch::async, [&] { return stream.next(); });
  // Until the other thread is there this one is refused.
  const auto is_let_wait = [&] {
    try {
      session.call({.function = "keys", .timeout = 10ms});
    } catch (const UsageError&) {
      return false;
    } catch (const DeadlineExceededError&) {
      return true;
    }
    return true;
  };
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  bool waited = false;
  while (!waited && std::chrono::steady_clock::now() < deadline) waited = is_let_wait();
  EXPECT_TRUE(waited);
  go_on.set_value();
  EXPECT_FALSE(reading.get());
  EXPECT_EQ(session.call("keys").session_id, "sess_a");
}

TEST_F(Handle, AnAnswerThatComesWhileTheClientIsClosedIsTheCallers) {
  const auto core = std::make_shared<detail::Core>(gateway.options());
  const auto state = std::make_shared<detail::SessionState>(core, "kv", SessionOptions{.keepalive = true});
  // The first half of closing, as when the answer comes between the two.
  core->renewer->close();
  EXPECT_EQ(state->call({.function = "keys"}).session_id, "sess_a");
  EXPECT_EQ(state->id(), "sess_a");
  state->leave();
}

TEST_F(Handle, ItsEndTakesNoLongerThanTheTimeForThat) {
  std::promise<bool> left;
  gateway.on_end = [&](grpc::ServerContext& context, auto&) {
    left.set_value(is_left(context));
    return grpc::Status::OK;
  };
  auto options = gateway.options();
  options.pacing.end_timeout = 200ms;
  Client client(options);
  {
    auto session = client.session("kv", {.timeout = 1h});
    session.call("keys");
  }
  EXPECT_TRUE(left.get_future().get());
}

}  // namespace
}  // namespace sessiongateway
