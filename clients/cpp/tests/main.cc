// Runs the tests, each with a time limit.

#include <gtest/gtest.h>
#include <unistd.h>

namespace {

constexpr unsigned kSeconds = 60;

class TimeLimit : public testing::EmptyTestEventListener {
  // The signal ends this process, and the gateway that it has started with it.
  void OnTestStart(const testing::TestInfo&) override { alarm(kSeconds); }
  void OnTestEnd(const testing::TestInfo&) override { alarm(0); }
};

}  // namespace

int main(int count, char** words) {
  testing::InitGoogleTest(&count, words);
  testing::UnitTest::GetInstance()->listeners().Append(new TimeLimit);
  return RUN_ALL_TESTS();
}
