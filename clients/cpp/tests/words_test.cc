#include <gtest/gtest.h>

#include <limits>
#include <tuple>

#include "channel.h"
#include "sessiongateway/json.h"
#include "sessiongateway/sessiongateway.h"
#include "sessiongateway/v1/sessions.pb.h"
#include "utf8.h"

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

TEST(Utf8, IsWhatUnicodeSays) {
  for (const std::string text : {"", "a", "aß€𝄞", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"}) {
    EXPECT_TRUE(detail::is_utf8(text)) << text;
  }
  EXPECT_TRUE(detail::is_utf8(std::string_view("a\0b", 3)));
  // Cut off, alone, overlong, a surrogate, and beyond the last code point.
  for (const std::string text : {"\xc3", "\xe2\x82", "\xf0\x9d\x84", "\x80", "a\xff", "\xc0\x80", "\xe0\x80\x80",
                                 "\xf0\x80\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(detail::is_utf8(text)) << text;
  }
}

TEST(Utf8, AnythingElseIsRefusedBeforeItIsSent) {
  Client client({.address = "127.0.0.1:1", .timeout = std::chrono::seconds(1)});
  const std::string wrong = "\xff";
  EXPECT_THROW(client.run({.app = wrong}), UsageError);
  EXPECT_THROW(client.run({.app = "kv", .function = wrong}), UsageError);
  EXPECT_THROW(client.run({.app = "kv", .input = wrong}), UsageError);
  EXPECT_THROW(client.run({.app = "kv", .session = wrong}), UsageError);
  EXPECT_THROW(client.run({.app = "kv", .worker_id = wrong}), UsageError);
  EXPECT_THROW(client.run({.app = "kv", .request_id = wrong}), UsageError);
  EXPECT_THROW(client.session(wrong).call("keys"), UsageError);
  EXPECT_THROW(client.sessions().get(wrong), UsageError);
  EXPECT_THROW(client.sessions().list({.app = wrong}).all(), UsageError);
  EXPECT_THROW(std::ignore = client.sessions().watch({.resume_token = wrong}), UsageError);
  EXPECT_THROW(std::ignore = client.sessions().watch({.app = wrong}), UsageError);
  EXPECT_THROW(std::ignore = client.stream_keepalive({"sess_a", wrong}), UsageError);
  EXPECT_THROW(client.apps().get(wrong), UsageError);
}

TEST(Options, TheAddressAndTheKeyAreCheckedBeforeAnythingIsSent) {
  EXPECT_THROW(Client({.address = "nowhere"}), UsageError);
  EXPECT_THROW(Client({.api_key = "key\n"}), UsageError);
  EXPECT_NO_THROW(Client({.address = "unix:/tmp/socket", .api_key = "key"}));
}

TEST(Options, AnAddressIsNoUrl) {
  for (const std::string address : {"http://127.0.0.1:50151", "HTTPS://gateway.example:443/", "grpc://gateway:1"}) {
    try {
      Client client({.address = address});
      ADD_FAILURE() << address;
    } catch (const UsageError& error) {
      EXPECT_EQ(error.what(), "the address of a gateway is HOST:PORT, not a URL: \"" + address + '"');
    }
  }
  EXPECT_NO_THROW(Client({.address = "dns:///gateway.example:1"}));
  EXPECT_NO_THROW(Client({.address = "unix:///tmp/socket"}));
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
