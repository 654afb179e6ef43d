// One function for each command of the protocol, over what a runner has opened, by the names that it gave.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>

#include "sessiongateway/sessiongateway.h"

namespace executor {

using nlohmann::json;

/// There is no such operation.
class UnsupportedCommand : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Things of one kind by their names. What is in use stays alive when its name is given up.
template <class Thing>
class Named {
 public:
  std::shared_ptr<Thing> get(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return things_.at(name);
  }
  void put(const std::string& name, std::shared_ptr<Thing> thing) {
    const std::lock_guard lock(mutex_);
    things_[name] = std::move(thing);
  }
  std::shared_ptr<Thing> take(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto thing = things_.at(name);
    things_.erase(name);
    return thing;
  }
  std::map<std::string, std::shared_ptr<Thing>> take_all() {
    const std::lock_guard lock(mutex_);
    return std::exchange(things_, {});
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Thing>> things_;
};

class Commands {
 public:
  /// Does one command and returns what is told of it. `stop` cancels it.
  /// \throws UnsupportedCommand, and what the client throws.
  json run(const std::string& op, const json& fields, const std::stop_token& stop);

  /// Whether a command only makes something under a name, which later ones may use, and waits for nothing.
  static bool is_immediate(const std::string& op);

  /// Closes every client, with all that it has open.
  void close_all();

 private:
  using Operation = json (Commands::*)(const json& fields, const std::stop_token& stop);

  struct Stream {
    sessiongateway::RunStream parts;
    bool is_told = false;
  };

  /// A session handle, and why its session was lost.
  struct Handle {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::shared_ptr<const sessiongateway::Error> lost;
    // Below what its `on_lost` uses.
    std::optional<sessiongateway::Session> session;
  };

  json connect(const json& fields, const std::stop_token& stop);
  json close(const json& fields, const std::stop_token& stop);
  json run_function(const json& fields, const std::stop_token& stop);
  json get(const json& fields, const std::stop_token& stop);
  json keepalive(const json& fields, const std::stop_token& stop);
  json end(const json& fields, const std::stop_token& stop);
  json list(const json& fields, const std::stop_token& stop);
  json get_app(const json& fields, const std::stop_token& stop);
  json list_apps(const json& fields, const std::stop_token& stop);
  json stream_open(const json& fields, const std::stop_token& stop);
  json stream_next(const json& fields, const std::stop_token& stop);
  json stream_close(const json& fields, const std::stop_token& stop);
  json watch_open(const json& fields, const std::stop_token& stop);
  json watch_next(const json& fields, const std::stop_token& stop);
  json watch_close(const json& fields, const std::stop_token& stop);
  json keepalive_open(const json& fields, const std::stop_token& stop);
  json keepalive_next(const json& fields, const std::stop_token& stop);
  json keepalive_close(const json& fields, const std::stop_token& stop);
  json handle_open(const json& fields, const std::stop_token& stop);
  json handle_call(const json& fields, const std::stop_token& stop);
  json handle_lost(const json& fields, const std::stop_token& stop);
  json handle_close(const json& fields, const std::stop_token& stop);
  json raw(const json& fields, const std::stop_token& stop);

  std::shared_ptr<sessiongateway::Client> client(const json& fields) { return clients_.get(fields.at("client")); }

  static const std::map<std::string, Operation> kOperations;

  Named<sessiongateway::Client> clients_;
  Named<Stream> streams_;
  Named<sessiongateway::WatchStream> watches_;
  Named<sessiongateway::KeepaliveStream> keepalives_;
  Named<Handle> handles_;
};

}  // namespace executor
