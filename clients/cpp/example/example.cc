// A tour, against `make serve`: SGW_ADDRESS and SGW_API_KEY say where another gateway is.

#include <chrono>
#include <iostream>

#include "sessiongateway/sessiongateway.h"

using namespace std::chrono_literals;

int main() try {
  sessiongateway::Client client({.timeout = 30s});

  // On any worker, which others use too: rely on nothing that it keeps.
  std::cout << "plain:   " << client.run({.app = "kv", .function = "keys"}).output << '\n';

  {
    // One worker, for as long as the handle lives.
    auto session = client.session("interpreter", {.session_timeout = 300s, .keepalive = true});
    session.call("run", R"({"code": "x = 2 ** 100"})");
    std::cout << "session: " << session.call("run", R"({"code": "x + 1"})").output << '\n';
  }

  auto rows = client.run_stream({.app = "sql", .function = "rows", .input = R"({"sql": "SELECT 1 AS one"})"});
  for (const auto& batch : rows) std::cout << "partial: " << batch << '\n';
  std::cout << "result:  " << rows.result().output << '\n';

  for (const auto& info : client.sessions().list({.page_size = 10})) {
    std::cout << info.id << ' ' << to_string(info.status) << ' ' << info.call_count << " calls\n";
  }

  try {
    client.run({.app = "no-such-app"});
  } catch (const sessiongateway::AppNotFoundError& error) {
    std::cout << "refused: " << error.what() << '\n';
  }
  return 0;
} catch (const sessiongateway::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
