#include "show.h"

#include <cxxabi.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>

#include "raw.h"

namespace executor {

namespace sgw = sessiongateway;

namespace {

json moment(const std::optional<sgw::Timestamp>& time) {
  if (!time) return nullptr;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(*time);
  const std::time_t whole = seconds.time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&whole, &parts);
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 16> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%09dZ", static_cast<int>((*time - seconds).count()));
  return std::string(date.data()) + fraction.data();
}

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

json show(const std::optional<sgw::WorkerExit>& exit) {
  if (!exit) return nullptr;
  json shown = json::object();
  if (exit->exit_code) shown["exit_code"] = *exit->exit_code;
  if (exit->signal) shown["signal"] = *exit->signal;
  return shown;
}

template <class Object>
std::string class_of(const Object& object) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(typeid(object).name(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? name.get() : typeid(object).name();
}

json untold(const char* code, const std::exception& error) {
  return {{"code", code}, {"message", error.what()}, {"class", class_of(error)}};
}

}  // namespace

json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

json show(const sgw::SessionInfo& session) {
  const bool is_over = session.end_reason != sgw::EndReason::unspecified;
  return {{"id", session.id},
          {"app", session.app},
          {"version", session.version},
          {"status", to_string(session.status)},
          {"end_reason", is_over ? json(to_string(session.end_reason)) : json(nullptr)},
          {"worker_id", session.worker_id},
          {"session_timeout", session.session_timeout.count()},
          {"created_at", moment(session.created_at)},
          {"expires_at", moment(session.expires_at)},
          {"expires_in", seconds(session.expires_in)},
          {"last_call_at", moment(session.last_call_at)},
          {"ended_at", moment(session.ended_at)},
          {"call_count", session.call_count},
          {"worker_exit", show(session.worker_exit)}};
}

json show(const sgw::RunResult& result) {
  return {{"session_id", result.session_id},
          {"output", result.output},
          {"call_id", result.call_id},
          {"session", result.session ? show(*result.session) : json(nullptr)}};
}

json show(const sgw::AppInfo& app, bool with_functions) {
  json shown = {{"name", app.name}, {"version", app.version}};
  if (with_functions) {
    shown["functions"] = json::array();
    for (const auto& each : app.functions) {
      shown["functions"].push_back({{"name", each.name}, {"streams", each.streams}});
    }
  }
  return shown;
}

json show(const sgw::Error& error) {
  const sgw::ErrorInfo& info = error.info();
  json failure = nullptr;
  if (info.app_failure) {
    const auto& [type, message, traceback] = *info.app_failure;
    failure = {{"type", type}, {"message", message}, {"traceback", traceback}};
  }
  json violations = json::array();
  for (const auto& [field, description] : info.field_violations) {
    violations.push_back(json::array({field, description}));
  }
  return {{"code", info.code},
          {"message", info.message},
          {"grpc_status", text_or_null(info.grpc_status)},
          {"class", class_of(error)},
          {"session_id", text_or_null(info.session_id)},
          {"run_state", info.run_state ? json(to_string(*info.run_state)) : json(nullptr)},
          {"retry_after", info.retry_after ? json(seconds(*info.retry_after)) : json(nullptr)},
          {"http_status", info.http_status ? json(*info.http_status) : json(nullptr)},
          {"end_reason", info.end_reason ? json(to_string(*info.end_reason)) : json(nullptr)},
          {"call_id", text_or_null(info.call_id)},
          {"field_violations", violations},
          {"app_failure", failure},
          {"worker_exit", show(info.worker_exit)},
          {"session_app", text_or_null(info.session_app)},
          {"requested_app", text_or_null(info.requested_app)},
          {"error_id", text_or_null(info.error_id)},
          {"metadata", info.metadata}};
}

json show(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const sgw::Error& error) {
    return show(error);
  } catch (const RawError& error) {
    return error.fields();
  } catch (const sgw::UsageError& error) {
    return untold("USAGE", error);
  } catch (const json::parse_error& error) {
    // By `to_input` or `from_output`, which belong to the layer.
    return untold("USAGE", error);
  } catch (const std::exception& error) {
    return untold("EXECUTOR_FAILED", error);
  }
}

}  // namespace executor
