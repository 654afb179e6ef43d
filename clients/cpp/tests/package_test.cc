// The example, built against the package as it is installed, and run against a real gateway.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

#include "gateway_process.h"

namespace sessiongateway {
namespace {

TEST(Package, TheExampleThatWasBuiltAgainstItRuns) {
  const GatewayProcess gateway;
  const std::string command = "SGW_ADDRESS=" + gateway.address() + " SGW_API_KEY= '" PACKAGE_EXAMPLE "' 2>&1";
  FILE* const example = popen(command.c_str(), "r");
  ASSERT_NE(example, nullptr);
  std::string told;
  std::array<char, 4096> bytes{};
  while (const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), example)) told.append(bytes.data(), count);
  const int status = pclose(example);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << told;
  for (const char* each : {"plain:   {", "1267650600228229401496703205377", "partial: {", "result:  {",
                           " ended 2 calls", "refused: APP_NOT_FOUND"}) {
    EXPECT_NE(told.find(each), std::string::npos) << each << " is not in\n" << told;
  }
}

}  // namespace
}  // namespace sessiongateway
