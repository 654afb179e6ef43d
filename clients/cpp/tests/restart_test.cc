// A gateway that is killed, and the next one on its records.

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "gateway_process.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;

class Restart : public testing::Test {
 protected:
  GatewayProcess gateway;
  Client client{gateway.options()};
};

TEST_F(Restart, AWatchGoesOnWithoutGapsOrRepeats) {
  auto watch = client.sessions().watch();
  auto first = client.session("kv");
  first.call("keys");
  gateway.restart();
  first.end();
  std::vector<SessionEvent> seen;
  while (seen.size() < 2) {
    const auto event = watch.next({.timeout = 30s});
    ASSERT_TRUE(event);
    EXPECT_EQ(event->session->id, first.id());
    seen.push_back(event->event);
  }
  EXPECT_EQ(seen, (std::vector{SessionEvent::created, SessionEvent::ended}));
}

TEST_F(Restart, RenewalsGoOnAndTheSessionIsStillThere) {
  auto session = client.session("kv", {.session_timeout = 60s});
  session.call("set_value", R"({"key":"a","value":1})");
  auto stream = client.stream_keepalive({session.id()});
  ASSERT_TRUE(stream.next({.timeout = 30s}));
  gateway.restart();
  const auto event = stream.next({.timeout = 30s});
  ASSERT_TRUE(event && event->session);
  EXPECT_EQ(event->session->status, SessionStatus::active);
  EXPECT_EQ(session.call("get_value", R"({"key":"a"})").output, R"({"value":1,"found":true})");
}

}  // namespace
}  // namespace sessiongateway
