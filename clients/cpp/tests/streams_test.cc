// Partial outputs, against a real gateway.

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "gateway_fixture.h"
#include "sessiongateway/json.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;

/// So many rows, of which each is computed when it is asked for.
std::string numbers(int count, int batch) {
  return to_input({{"sql", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
                               std::to_string(count) + ") SELECT i FROM n"},
                   {"batch_rows", batch}});
}

class Streams : public GatewayTest {};

TEST_F(Streams, APartialOutputForEachBatchAndThenTheResult) {
  auto stream = client.run_stream({.app = "sql", .function = "rows", .input = numbers(5, 2)});
  std::vector<std::size_t> sizes;
  for (const auto& partial : stream) sizes.push_back(from_output(partial).at("rows").size());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{2, 2, 1}));
  EXPECT_EQ(from_output(stream.result().output).at("row_count"), 5);
  EXPECT_EQ(stream.next(), std::nullopt);
}

TEST_F(Streams, AFunctionThatIsNoGeneratorHasAResultOnly) {
  EXPECT_EQ(from_output(client.run_stream({.app = "kv", .function = "keys"}).finish().output).at("total"), 0);
}

TEST_F(Streams, AnErrorIsThrownByTheStepThatMeetsIt) {
  auto stream = client.run_stream({.app = "sql", .function = "nope"});
  EXPECT_THROW(stream.next(), FunctionNotFoundError);
  EXPECT_EQ(stream.next(), std::nullopt);
}

TEST_F(Streams, OneThatIsClosedEarlyLetsTheNextCallOfItsSessionRun) {
  auto session = client.session("sql");
  session.call("tables");
  auto stream = session.stream("rows", numbers(1'000'000'000, 1000));
  ASSERT_TRUE(stream.next());
  stream.close();
  EXPECT_EQ(stream.next(), std::nullopt);
  EXPECT_THROW(stream.result(), UsageError);
  EXPECT_NO_THROW(session.call({.function = "tables", .timeout = 20s}));
}

TEST_F(Streams, AHandleIsOpenedByTheResultOfItsFirstStream) {
  auto session = client.session("sql");
  auto stream = session.stream("rows", numbers(3, 1));
  ASSERT_TRUE(stream.next());
  EXPECT_EQ(session.id(), "");
  EXPECT_THROW(session.call("tables"), UsageError);
  const auto result = stream.finish();
  EXPECT_EQ(session.id(), result.session_id);
  EXPECT_NO_THROW(session.call("tables"));
}

TEST_F(Streams, ADeadlineIsForTheWholeStream) {
  auto stream =
      client.run_stream({.app = "sql", .function = "rows", .input = numbers(1'000'000'000, 1000)}, {.timeout = 500ms});
  EXPECT_THROW(while (stream.next()){}, DeadlineExceededError);
}

TEST_F(Streams, AnEndOfTheHandleClosesAStreamThatHasNotOpenedIt) {
  auto session = client.session("sql");
  auto stream = session.stream("rows", numbers(1'000'000'000, 1000));
  ASSERT_TRUE(stream.next());
  EXPECT_FALSE(session.end());
  EXPECT_EQ(stream.next(), std::nullopt);
}

}  // namespace
}  // namespace sessiongateway
