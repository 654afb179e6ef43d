#include <gtest/gtest.h>

#include <limits>

#include "channel.h"
#include "sessiongateway/json.h"
#include "sessiongateway/sessiongateway.h"
#include "sessiongateway/v1/sessions.pb.h"

namespace sessiongateway {
namespace {

template <class Value>
void expect_words_of(const google::protobuf::EnumDescriptor* values, std::size_t prefix) {
  for (int index = 0; index < values->value_count(); ++index) {
    std::string word = values->value(index)->name().substr(prefix);
    for (char& each : word) each = static_cast<char>(std::tolower(each));
    EXPECT_EQ(to_string(static_cast<Value>(values->value(index)->number())), word);
  }
}

TEST(Words, AreThoseOfTheProtocol) {
  expect_words_of<SessionStatus>(v1::SessionStatus_descriptor(), std::string("SESSION_STATUS_").size());
  expect_words_of<EndReason>(v1::EndReason_descriptor(), std::string("END_REASON_").size());
  expect_words_of<RunState>(v1::RunState_descriptor(), std::string("RUN_STATE_").size());
  expect_words_of<SessionEvent>(v1::SessionEvent_descriptor(), std::string("SESSION_EVENT_").size());
}

TEST(Words, AValueOfANewerGatewayKeepsItsNumber) {
  EXPECT_EQ(to_string(static_cast<SessionStatus>(77)), "unknown_77");
  EXPECT_EQ(to_string(static_cast<EndReason>(-1)), "unknown_-1");
}

TEST(Words, AStatusIsReadBackAndAnUnknownOneIsRefused) {
  EXPECT_EQ(parse_session_status("expired"), SessionStatus::expired);
  EXPECT_THROW(parse_session_status("asleep"), UsageError);
  EXPECT_THROW(parse_session_status("unspecified"), UsageError);
}

TEST(Json, KeepsIntegersAndRefusesWhatJsonDoesNotHave) {
  const auto input = nlohmann::json{{"n", 9007199254740993}};
  EXPECT_EQ(to_input(input), R"({"n":9007199254740993})");
  EXPECT_EQ(from_output(to_input(input)), input);
  EXPECT_THROW(to_input(nlohmann::json::array()), UsageError);
  EXPECT_THROW(to_input({{"deep", {1.0, std::numeric_limits<double>::quiet_NaN()}}}), UsageError);
  EXPECT_THROW(to_input({{"text", "\xff"}}), UsageError);
}

TEST(Options, TheAddressAndTheKeyAreCheckedBeforeAnythingIsSent) {
  EXPECT_THROW(Client({.address = "nowhere"}), UsageError);
  EXPECT_THROW(Client({.api_key = "key\n"}), UsageError);
  EXPECT_NO_THROW(Client({.address = "unix:/tmp/socket", .api_key = "key"}));
}

TEST(Options, TheEnvironmentFillsInWhatIsLeftOut) {
  setenv("SGW_ADDRESS", "gateway.example:1", 1);
  setenv("SGW_API_KEY", "from-environment", 1);
  EXPECT_EQ(detail::address_of({}), "gateway.example:1");
  EXPECT_EQ(detail::address_of({.address = "other:2"}), "other:2");
  EXPECT_EQ(detail::authorization_of({}), "Bearer from-environment");
  EXPECT_EQ(detail::authorization_of({.api_key = ""}), std::nullopt);
  unsetenv("SGW_ADDRESS");
  unsetenv("SGW_API_KEY");
  EXPECT_EQ(detail::address_of({}), "127.0.0.1:50151");
  EXPECT_EQ(detail::authorization_of({}), std::nullopt);
}

TEST(Options, OnlyRequestsThatAreSafeToRepeatAreRepeatedByGrpc) {
  const auto config = nlohmann::json::parse(detail::kServiceConfig);
  ASSERT_EQ(config["methodConfig"].size(), 1U);
  std::vector<std::string> methods;
  for (const auto& name : config["methodConfig"][0]["name"]) methods.push_back(name.value("method", "*"));
  EXPECT_EQ(methods, (std::vector<std::string>{"GetSession", "ListSessions", "Keepalive", "EndSession", "*"}));
  EXPECT_EQ(config["methodConfig"][0]["retryPolicy"]["retryableStatusCodes"], nlohmann::json::array({"UNAVAILABLE"}));
}

}  // namespace
}  // namespace sessiongateway
