// Runs and sessions, against a real gateway.

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <set>
#include <thread>

#include "gateway_fixture.h"
#include "sessiongateway/json.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;

class Sessions : public GatewayTest {
 protected:
  nlohmann::json stored(Session& session, const std::string& key) {
    return from_output(session.call("get_value", to_input({{"key", key}})).output);
  }

  /// What a session's worker process is called, so that a test can kill it.
  pid_t worker_of(Session& session) {
    const auto output = session.call("", to_input({{"code", "import os; os.getpid()"}})).output;
    const auto found = from_output(output);
    return static_cast<pid_t>(std::stol(found.at("result").get<std::string>()));
  }
};

TEST_F(Sessions, APlainRunHasNoSession) {
  const auto result = client.run({.app = "kv", .function = "keys"});
  EXPECT_EQ(from_output(result.output), nlohmann::json::parse(R"({"keys": [], "total": 0})"));
  EXPECT_EQ(result.session_id, "");
  EXPECT_FALSE(result.session);
  EXPECT_TRUE(result.call_id.find("call_") != std::string::npos);
}

TEST_F(Sessions, NumbersAndTextComeBackAsTheyWere) {
  const std::string input = R"({"n":123456789012345678901234567890,"m":-9007199254740993,"t":"aß€𝄞\u0000"})";
  const auto output = client.run({.app = "kv", .function = "run", .input = input}).output;
  EXPECT_TRUE(output.find("123456789012345678901234567890") != std::string::npos);
  EXPECT_TRUE(output.find("-9007199254740993") != std::string::npos);
  EXPECT_EQ(from_output(output).at("state").at("t"), std::string("aß€𝄞\0", 11));
}

TEST_F(Sessions, AHandleOpensWithItsFirstCallAndEndsWithItsScope) {
  std::string id;
  {
    auto session = client.session("kv", {.session_timeout = 300s});
    EXPECT_EQ(session.id(), "");
    session.call("set_value", R"({"key":"a","value":1})");
    EXPECT_EQ(stored(session, "a").at("value"), 1);
    id = session.id();
    EXPECT_EQ(session.info()->session_timeout, 300s);
    EXPECT_EQ(session.info()->call_count, 2);
    EXPECT_EQ(client.sessions().get(id).status, SessionStatus::active);
  }
  const auto ended = client.sessions().get(id);
  EXPECT_EQ(ended.status, SessionStatus::ended);
  EXPECT_EQ(ended.end_reason, EndReason::caller);
}

TEST_F(Sessions, AHandleThatWasNeverCalledEndsAsNothing) {
  auto session = client.session("kv");
  EXPECT_FALSE(session.end());
  EXPECT_THROW(session.call("keys"), UsageError);
}

TEST_F(Sessions, AMovedHandleIsTheSession) {
  auto first = client.session("kv");
  first.call("set_value", R"({"key":"a","value":1})");
  Session second = std::move(first);
  EXPECT_EQ(stored(second, "a").at("found"), true);
  const std::string id = second.id();
  second = client.session("kv");
  EXPECT_EQ(client.sessions().get(id).status, SessionStatus::ended);
}

TEST_F(Sessions, ThreadsThatShareAHandleShareOneSession) {
  auto session = client.session("kv");
  std::vector<std::future<RunResult>> calls;
  for (int index = 0; index < 4; ++index) {
    calls.push_back(std::async(std::launch::async, [&session] { return session.call("keys"); }));
  }
  std::set<std::string> ids;
  for (auto& each : calls) ids.insert(each.get().session_id);
  EXPECT_EQ(ids, std::set<std::string>{session.id()});
  EXPECT_EQ(client.sessions().get(session.id()).call_count, 4);
}

TEST_F(Sessions, AFailedFirstCallLeavesTheHandleUnopened) {
  auto session = client.session("kv");
  EXPECT_THROW(session.call("get_value", R"({"key":1})"), InvalidInputError);
  EXPECT_EQ(session.id(), "");
  EXPECT_NO_THROW(session.call("keys"));
}

TEST_F(Sessions, AWorkerThatDiesTakesItsSessionWithIt) {
  std::promise<EndReason> told;
  auto session = client.session("interpreter", {.keepalive = true, .on_lost = [&told](const Error& error) {
                                                  told.set_value(error.end_reason().value());
                                                }});
  ASSERT_EQ(kill(worker_of(session), SIGKILL), 0);
  auto lost = told.get_future();
  ASSERT_EQ(lost.wait_for(30s), std::future_status::ready);
  EXPECT_EQ(lost.get(), EndReason::worker_lost);
  ASSERT_TRUE(session.lost());
  try {
    session.call("run", R"({"code":"1"})");
    FAIL();
  } catch (const SessionEndedError& error) {
    EXPECT_EQ(error.run_state(), RunState::not_started);
    EXPECT_EQ(error.worker_exit()->signal, SIGKILL);
  }
  EXPECT_EQ(session.end()->end_reason, EndReason::worker_lost);
}

TEST_F(Sessions, KeepaliveOutlivesTheTimeoutAndWithoutItASessionExpires) {
  auto watch = client.sessions().watch();
  auto kept = client.session("kv", {.session_timeout = 1s, .keepalive = true});
  auto left = client.session("kv", {.session_timeout = 1s});
  kept.call("keys");
  left.call("keys");
  for (auto event = watch.next({.timeout = 30s});; event = watch.next({.timeout = 30s})) {
    ASSERT_TRUE(event);
    if (event->event != SessionEvent::expired) continue;
    EXPECT_EQ(event->session->id, left.id());
    break;
  }
  EXPECT_NO_THROW(kept.call("keys"));
  EXPECT_THROW(left.call("keys"), SessionExpiredError);
}

TEST_F(Sessions, AreListedOverAllPages) {
  std::vector<Session> sessions;
  for (int index = 0; index < 5; ++index) sessions.push_back(client.session("kv"));
  for (auto& each : sessions) each.call("keys");
  std::set<std::string> ids;
  for (const auto& each : client.sessions().list({.status = SessionStatus::active, .app = "kv", .page_size = 2})) {
    ids.insert(each.id);
  }
  EXPECT_EQ(ids.size(), 5U);
  EXPECT_EQ(client.sessions().list().all().size(), 5U);
}

TEST_F(Sessions, AreRenewedAndEndedByTheirIds) {
  const auto id = client.run({.app = "kv", .function = "keys", .session = "new"}).session_id;
  EXPECT_GT(client.sessions().keepalive(id).expires_in, 50s);
  EXPECT_EQ(client.sessions().end(id).status, SessionStatus::ended);
  EXPECT_EQ(client.sessions().end(id).status, SessionStatus::ended);
  EXPECT_THROW(client.sessions().keepalive(id), SessionEndedError);
  EXPECT_THROW(client.sessions().get("sess_aaaaaaaaaaaaaaaaaaaaaaaaaa"), SessionNotFoundError);
}

TEST_F(Sessions, EveryWrongFieldIsToldAtOnce) {
  try {
    client.run({.app = "", .session_timeout = 0s});
    FAIL();
  } catch (const InvalidRequestError& error) {
    std::set<std::string> fields;
    for (const auto& [field, description] : error.info().field_violations) fields.insert(field);
    EXPECT_TRUE(fields.contains("app") && fields.contains("session_timeout"));
    EXPECT_EQ(error.info().http_status, 400);
  }
}

TEST_F(Sessions, AppsTellTheirFunctions) {
  std::set<std::string> names;
  for (const auto& each : client.apps().list(1)) names.insert(each.name);
  EXPECT_EQ(names, (std::set<std::string>{"interpreter", "kv", "sql"}));
  const auto sql = client.apps().get("sql");
  for (const auto& each : sql.functions) EXPECT_EQ(each.streams, each.name == "rows") << each.name;
  EXPECT_THROW(client.apps().get("nope"), AppNotFoundError);
}

}  // namespace
}  // namespace sessiongateway
