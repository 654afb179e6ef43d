// The conformance executor of the C++ client: commands on standard input, answers on standard output, one JSON object a
// line each. The protocol stands in clients/conformance/README.md.

#include <chrono>
#include <condition_variable>
#include <exception>
#include <iostream>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "commands.h"
#include "show.h"

namespace {

using executor::json;

/// Begins commands in the order in which they come, and answers each when it is done.
class Executor {
 public:
  /// Serves until the end of the input, then cancels what is pending and closes all.
  void serve() {
    std::string line;
    while (std::getline(std::cin, line)) {
      if (line.find_first_not_of(" \t\r") != std::string::npos) take(line);
    }
    std::unique_lock lock(mutex_);
    for (auto& [number, stop] : pending_) stop.request_stop();
    lock.unlock();
    commands_.close_all();
    lock.lock();
    changed_.wait(lock, [this] { return pending_.empty(); });
  }

 private:
  void take(const std::string& line) {
    json number = nullptr;
    std::string op;
    json fields;
    try {
      fields = json::parse(line);
      number = fields.at("id");
      op = fields.at("op");
      std::erase_if(fields.get_ref<json::object_t&>(), [](const auto& each) { return each.second.is_null(); });
      number.get_ref<const json::number_unsigned_t&>();
    } catch (const json::exception&) {
      answer(number, "error", {{"code", "UNSUPPORTED_COMMAND"}});
      return;
    }
    if (op == "cancel") {
      cancel(fields.value("target", json(nullptr)));
      answer(number, "ok", json::object());
      return;
    }
    begin(number, op, std::move(fields));
  }

  void begin(const json& number, const std::string& op, json fields) {
    const std::uint64_t key = number;
    std::stop_source stop;
    std::unique_lock lock(mutex_);
    pending_.emplace(key, stop);
    if (executor::Commands::is_immediate(op)) {
      lock.unlock();
      run(key, op, fields, stop.get_token());
      return;
    }
    std::thread([this, key, op, stop, fields = std::move(fields)] { run(key, op, fields, stop.get_token()); }).detach();
    // The client's calls block and do not tell when they were sent. This head start nearly always keeps the order in
    // which they arrive; where more is needed a scenario waits for an arrival.
    changed_.wait_for(lock, std::chrono::milliseconds(3), [&] { return !pending_.contains(key); });
  }

  void run(std::uint64_t key, const std::string& op, const json& fields, const std::stop_token& stop) {
    std::string kind = "ok";
    json body;
    try {
      body = commands_.run(op, fields, stop);
    } catch (const executor::UnsupportedCommand&) {
      kind = "error";
      body = {{"code", "UNSUPPORTED_COMMAND"}};
    } catch (...) {
      kind = "error";
      body = executor::show(std::current_exception());
    }
    answer(key, kind, body);
    const std::lock_guard lock(mutex_);
    pending_.erase(key);
    changed_.notify_all();
  }

  void cancel(const json& target) {
    std::stop_source stop(std::nostopstate);
    if (target.is_number_unsigned()) {
      const std::lock_guard lock(mutex_);
      if (const auto found = pending_.find(target); found != pending_.end()) stop = found->second;
    }
    stop.request_stop();
  }

  void answer(const json& number, const std::string& kind, const json& body) {
    // ASCII only, so that whatever bytes an output may have come through.
    const auto text = json{{"id", number}, {kind, body}}.dump(-1, ' ', true, json::error_handler_t::replace);
    const std::lock_guard lock(output_);
    std::cout << text << '\n' << std::flush;
  }

  executor::Commands commands_;
  std::mutex mutex_;
  std::mutex output_;
  std::condition_variable changed_;
  std::map<std::uint64_t, std::stop_source> pending_;
};

}  // namespace

int main() try {
  std::ios::sync_with_stdio(false);
  // Reading would flush the output beside the lock that its writers take.
  std::cin.tie(nullptr);
  Executor().serve();
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
