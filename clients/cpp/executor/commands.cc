#include "commands.h"

#include <chrono>
#include <fstream>
#include <iterator>
#include <utility>

#include "raw.h"
#include "show.h"

namespace executor {

namespace sgw = sessiongateway;

namespace {

std::string text(const json& fields, const char* name) {
  return fields.value(name, std::string());
}

std::optional<std::chrono::nanoseconds> seconds(const json& fields, const char* name) {
  if (!fields.contains(name)) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(fields.at(name).get<double>()));
}

std::optional<std::chrono::seconds> whole_seconds(const json& fields, const char* name) {
  if (!fields.contains(name)) return std::nullopt;
  return std::chrono::seconds(fields.at(name).get<std::int64_t>());
}

sgw::CallOptions call_options(const json& fields, const std::stop_token& stop) {
  return {.timeout = seconds(fields, "timeout"), .stop = stop};
}

sgw::RunParams run_params(const json& fields) {
  const json given = fields.value("params", json::object());
  sgw::RunParams params;
  params.app = text(given, "app");
  params.function = text(given, "function");
  params.input = fields.value("input", "{}");
  params.session = text(given, "session");
  params.session_timeout = whole_seconds(given, "session_timeout");
  params.worker_id = text(given, "worker_id");
  params.request_id = text(given, "request_id");
  if (given.contains("expected_call_count")) params.expected_call_count = given.at("expected_call_count");
  return params;
}

std::string file(const json& tls, const char* name) {
  if (!tls.contains(name)) return {};
  std::ifstream stream(tls.at(name).get<std::string>(), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

[[noreturn]] void fail_cancelled() {
  sgw::throw_error({.code = "CANCELLED", .message = "cancelled", .grpc_status = "CANCELLED"});
}

/// A wait that gave nothing was cancelled, or its time is over.
json nothing_came(const std::stop_token& stop) {
  if (stop.stop_requested()) fail_cancelled();
  return {{"timeout", true}};
}

}  // namespace

const std::map<std::string, Commands::Operation> Commands::kOperations = {
    {"connect", &Commands::connect},
    {"close", &Commands::close},
    {"run", &Commands::run_function},
    {"get", &Commands::get},
    {"keepalive", &Commands::keepalive},
    {"end", &Commands::end},
    {"list", &Commands::list},
    {"get_app", &Commands::get_app},
    {"list_apps", &Commands::list_apps},
    {"stream_open", &Commands::stream_open},
    {"stream_next", &Commands::stream_next},
    {"stream_close", &Commands::stream_close},
    {"watch_open", &Commands::watch_open},
    {"watch_next", &Commands::watch_next},
    {"watch_close", &Commands::watch_close},
    {"keepalive_open", &Commands::keepalive_open},
    {"keepalive_next", &Commands::keepalive_next},
    {"keepalive_close", &Commands::keepalive_close},
    {"handle_open", &Commands::handle_open},
    {"handle_call", &Commands::handle_call},
    {"handle_lost", &Commands::handle_lost},
    {"handle_close", &Commands::handle_close},
    {"raw_run", &Commands::raw},
};

json Commands::run(const std::string& op, const json& fields, const std::stop_token& stop) {
  const auto found = kOperations.find(op);
  if (found == kOperations.end()) throw UnsupportedCommand(op);
  return (this->*found->second)(fields, stop);
}

bool Commands::is_immediate(const std::string& op) {
  return op == "connect" || op == "stream_open" || op == "keepalive_open" || op == "handle_open";
}

void Commands::close_all() {
  for (const auto& [name, client] : clients_.take_all()) client->close();
}

json Commands::connect(const json& fields, const std::stop_token&) {
  sgw::ClientOptions options{.address = fields.at("address"), .timeout = seconds(fields, "timeout")};
  if (fields.contains("api_key")) options.api_key = fields.at("api_key");
  if (fields.contains("tls")) {
    const json& tls = fields.at("tls");
    options.tls = sgw::TlsOptions{file(tls, "ca"), file(tls, "cert"), file(tls, "key")};
  }
  clients_.put(fields.at("client"), std::make_shared<sgw::Client>(std::move(options)));
  return json::object();
}

json Commands::close(const json& fields, const std::stop_token&) {
  clients_.take(fields.at("client"))->close();
  return json::object();
}

json Commands::run_function(const json& fields, const std::stop_token& stop) {
  return show(client(fields)->run(run_params(fields), call_options(fields, stop)));
}

json Commands::get(const json& fields, const std::stop_token& stop) {
  return {{"session", show(client(fields)->sessions().get(fields.at("session_id"), call_options(fields, stop)))}};
}

json Commands::keepalive(const json& fields, const std::stop_token& stop) {
  return {{"session", show(client(fields)->sessions().keepalive(fields.at("session_id"), call_options(fields, stop)))}};
}

json Commands::end(const json& fields, const std::stop_token& stop) {
  return {{"session", show(client(fields)->sessions().end(fields.at("session_id"), call_options(fields, stop)))}};
}

json Commands::list(const json& fields, const std::stop_token& stop) {
  sgw::SessionFilter filter{.app = text(fields, "app"), .page_size = fields.value("page_size", 0)};
  if (fields.contains("status")) filter.status = sgw::parse_session_status(fields.at("status").get<std::string>());
  json sessions = json::array();
  for (const auto& each : client(fields)->sessions().list(filter, call_options(fields, stop))) {
    sessions.push_back(show(each));
  }
  return {{"sessions", sessions}};
}

json Commands::get_app(const json& fields, const std::stop_token& stop) {
  return {{"app", show(client(fields)->apps().get(fields.at("app"), call_options(fields, stop)), true)}};
}

json Commands::list_apps(const json& fields, const std::stop_token& stop) {
  json apps = json::array();
  for (const auto& each : client(fields)->apps().list(fields.value("page_size", 0), call_options(fields, stop))) {
    apps.push_back(show(each, false));
  }
  return {{"apps", apps}};
}

json Commands::stream_open(const json& fields, const std::stop_token&) {
  auto parts = client(fields)->run_stream(run_params(fields), call_options(fields, {}));
  streams_.put(fields.at("stream"), std::make_shared<Stream>(Stream{std::move(parts)}));
  return json::object();
}

json Commands::stream_next(const json& fields, const std::stop_token& stop) {
  const auto stream = streams_.get(fields.at("stream"));
  if (stream->is_told) return {{"end", true}};
  const std::stop_callback cancel(stop, [&stream] { stream->parts.close(); });
  if (auto partial = stream->parts.next()) return {{"partial", std::move(*partial)}};
  // Cancelled before the step began to wait.
  if (stop.stop_requested()) fail_cancelled();
  const auto& result = stream->parts.result();
  stream->is_told = true;
  return {{"result", show(result)}};
}

json Commands::stream_close(const json& fields, const std::stop_token&) {
  streams_.take(fields.at("stream"))->parts.close();
  return json::object();
}

json Commands::watch_open(const json& fields, const std::stop_token& stop) {
  sgw::WatchParams params{.resume_token = text(fields, "resume_token"), .app = text(fields, "app")};
  auto watch = client(fields)->sessions().watch(std::move(params), call_options(fields, stop));
  watches_.put(fields.at("watch"), std::make_shared<sgw::WatchStream>(std::move(watch)));
  return json::object();
}

json Commands::watch_next(const json& fields, const std::stop_token& stop) {
  const auto event = watches_.get(fields.at("watch"))->next({.timeout = seconds(fields, "timeout"), .stop = stop});
  if (!event) return nothing_came(stop);
  return {{"event", to_string(event->event)},
          {"session", event->session ? show(*event->session) : json(nullptr)},
          {"resume_token", event->resume_token}};
}

json Commands::watch_close(const json& fields, const std::stop_token&) {
  const auto watch = watches_.take(fields.at("watch"));
  watch->close();
  return {{"resume_token", watch->resume_token()}};
}

json Commands::keepalive_open(const json& fields, const std::stop_token&) {
  auto stream = client(fields)->stream_keepalive(fields.at("session_ids"));
  keepalives_.put(fields.at("stream"), std::make_shared<sgw::KeepaliveStream>(std::move(stream)));
  return json::object();
}

json Commands::keepalive_next(const json& fields, const std::stop_token& stop) {
  const auto stream = keepalives_.get(fields.at("stream"));
  const auto event = stream->next({.timeout = seconds(fields, "timeout"), .stop = stop});
  if (!event && stream->ended()) return {{"end", true}};
  if (!event) return nothing_came(stop);
  if (event->error) return {{"session_id", event->session_id}, {"error", show(*event->error)}};
  return {{"session_id", event->session_id}, {"session", show(*event->session)}};
}

json Commands::keepalive_close(const json& fields, const std::stop_token&) {
  keepalives_.take(fields.at("stream"))->close();
  return json::object();
}

json Commands::handle_open(const json& fields, const std::stop_token&) {
  const auto handle = std::make_shared<Handle>();
  const auto on_lost = [to = handle.get()](const sgw::Error& error) {
    const std::lock_guard lock(to->mutex);
    to->lost = sgw::make_error(error.info());
    to->changed.notify_all();
  };
  sgw::SessionOptions options{.session_timeout = whole_seconds(fields, "session_timeout"),
                              .keepalive = fields.value("keepalive", false),
                              .on_lost = on_lost};
  handle->session.emplace(client(fields)->session(fields.at("app"), std::move(options)));
  handles_.put(fields.at("handle"), handle);
  return json::object();
}

json Commands::handle_call(const json& fields, const std::stop_token& stop) {
  return show(handles_.get(fields.at("handle"))
                  ->session->call({.function = text(fields, "function"),
                                   .input = fields.value("input", "{}"),
                                   .timeout = seconds(fields, "timeout"),
                                   .stop = stop,
                                   .request_id = text(fields, "request_id")}));
}

json Commands::handle_lost(const json& fields, const std::stop_token& stop) {
  const auto handle = handles_.get(fields.at("handle"));
  std::unique_lock lock(handle->mutex);
  handle->changed.wait_for(lock, stop, *seconds(fields, "timeout"), [&handle] { return handle->lost != nullptr; });
  if (!handle->lost) return nothing_came(stop);
  return {{"error", show(*handle->lost)}};
}

json Commands::handle_close(const json& fields, const std::stop_token&) {
  const auto session = handles_.take(fields.at("handle"))->session->end();
  return {{"session", session ? show(*session) : json(nullptr)}};
}

json Commands::raw(const json& fields, const std::stop_token&) {
  return raw_run(fields.at("address"), text(fields, "api_key"), fields.at("request"));
}

}  // namespace executor
