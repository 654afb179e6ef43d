// Several gateways behind one address. Each has records of its own, so that its sessions tell which calls came to it.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "gateway_process.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {
namespace {

class Several : public testing::Test {
 protected:
  static constexpr std::size_t kGateways = 3;
  using Counts = std::array<int, kGateways>;

  ClientOptions of_all() const {
    ClientOptions options = gateways[0].options();
    options.address = "ipv4:";
    for (const auto& each : gateways) options.address += (&each == &gateways[0] ? "" : ",") + each.address();
    return options;
  }

  void open() { client.run({.app = "kv", .function = "keys", .session = "new"}); }

  Counts opened() const {
    Counts counts{};
    for (std::size_t i = 0; i < kGateways; ++i) {
      Client single(gateways[i].options());
      for ([[maybe_unused]] const auto& session : single.sessions().list()) ++counts[i];
    }
    return counts;
  }

  std::array<GatewayProcess, kGateways> gateways;
  Client client{of_all()};
};

TEST_F(Several, CallsGoRoundAmongThemAndGoOnWhenOneDies) {
  for (Counts counts{}; *std::ranges::min_element(counts) == 0; counts = opened()) open();
  const Counts before = opened();
  for (int i = 0; i < 9; ++i) open();
  const Counts after = opened();
  for (std::size_t i = 0; i < kGateways; ++i) EXPECT_EQ(after[i] - before[i], 3) << gateways[i].address();

  gateways[1].die();
  int cut = 0;
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(client.apps().get("kv").name, "kv");
    try {
      open();
    } catch (const UnavailableError&) {
      ++cut;
    }
  }
  // One call can have been on its way to the gateway that died.
  EXPECT_LE(cut, 1);

  gateways[1].come_back();
  const int at_first = opened()[1];
  while (opened()[1] == at_first) open();
}

}  // namespace
}  // namespace sessiongateway
