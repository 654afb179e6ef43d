// A real gateway for all tests of a suite, of which each is a caller of its own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "gateway_process.h"
#include "sessiongateway/sessiongateway.h"

namespace sessiongateway {

class GatewayTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { gateway_ = std::make_unique<GatewayProcess>(); }
  static void TearDownTestSuite() { gateway_.reset(); }

  static ClientOptions options() {
    ClientOptions options = gateway_->options();
    // Sessions belong to the bearer of a key, so that no test sees those of another.
    options.api_key = testing::UnitTest::GetInstance()->current_test_info()->name();
    return options;
  }

  Client client{options()};

 private:
  static inline std::unique_ptr<GatewayProcess> gateway_;
};

}  // namespace sessiongateway
