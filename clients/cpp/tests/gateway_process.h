// A real gateway with the example apps, for as long as a test takes.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "sessiongateway/options.h"

namespace sessiongateway {

class GatewayProcess {
 public:
  /// Starts one on a free port and waits until it listens.
  GatewayProcess();
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;
  /// Stops it; its sessions and files go with it.
  ~GatewayProcess();

  const std::string& address() const { return address_; }
  ClientOptions options() const { return {.address = address_, .api_key = "", .timeout = std::chrono::seconds(30)}; }

  /// Kills it, and starts the next one on the same port and records.
  void restart();

  /// The two halves of that.
  void die();
  void come_back();

 private:
  void start(const std::string& listen);
  void stop(int signal);
  void end();

  std::filesystem::path directory_;
  std::string address_;
  pid_t process_ = 0;
};

}  // namespace sessiongateway
