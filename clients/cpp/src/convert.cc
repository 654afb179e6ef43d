#include "convert.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "error_decoding.h"
#include "sessiongateway/errors.h"
#include "utf8.h"

namespace sessiongateway::detail {

namespace {

Timestamp timestamp_of(const google::protobuf::Timestamp& moment) {
  return Timestamp(std::chrono::seconds(moment.seconds()) + std::chrono::nanoseconds(moment.nanos()));
}

bool is_json(const google::protobuf::Struct& value);

bool is_json(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNumberValue:
      return std::isfinite(value.number_value());
    case google::protobuf::Value::kStructValue:
      return is_json(value.struct_value());
    case google::protobuf::Value::kListValue:
      return std::ranges::all_of(value.list_value().values(), [](const auto& each) { return is_json(each); });
    case google::protobuf::Value::KIND_NOT_SET:
      return false;
    default:
      return true;
  }
}

/// Whether it holds nothing that JSON lacks: protobuf writes NaN as a text, and leaves out a value that has no kind.
bool is_json(const google::protobuf::Struct& value) {
  return std::ranges::all_of(value.fields(), [](const auto& each) { return is_json(each.second); });
}

/// Only a gateway that ignores how it was asked answers with a Struct.
std::string text_of(const google::protobuf::Struct& value) {
  std::string text;
  if (!is_json(value) || !google::protobuf::util::MessageToJsonString(value, &text).ok()) {
    throw_error(transport_error("INVALID_RESPONSE", "the output cannot be written as JSON", RunState::unknown));
  }
  return text;
}

std::int32_t whole_seconds(std::chrono::seconds timeout) {
  using Limits = std::numeric_limits<std::int32_t>;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(timeout.count(), Limits::min(), Limits::max()));
}

}  // namespace

v1::RunRequest run_request(const RunParams& params) {
  v1::RunRequest request;
  request.set_app(utf8(params.app, "app"));
  request.set_function(utf8(params.function, "function"));
  // Set even if it is empty: the answer comes in the form of the request, and only JSON text keeps integers exact.
  request.set_input_json(utf8(params.input, "input"));
  request.set_session(utf8(params.session, "session"));
  if (params.session_timeout) request.set_session_timeout(whole_seconds(*params.session_timeout));
  request.set_worker_id(utf8(params.worker_id, "worker_id"));
  request.set_request_id(utf8(params.request_id, "request_id"));
  if (params.expected_call_count) request.set_expected_call_count(*params.expected_call_count);
  return request;
}

RunResult run_result(v1::RunResponse&& response) {
  RunResult result;
  result.session_id = response.session_id();
  result.call_id = response.call_id();
  if (response.has_output_json()) {
    result.output = std::move(*response.mutable_output_json());
  } else {
    result.output = response.has_output() ? text_of(response.output()) : "{}";
  }
  if (response.has_session()) result.session = session_info(response.session());
  return result;
}

std::string partial_output(v1::RunStreamResponse&& part) {
  return part.has_partial_json() ? std::move(*part.mutable_partial_json()) : text_of(part.partial());
}

SessionInfo session_info(const v1::Session& session) {
  SessionInfo info;
  info.id = session.id();
  info.app = session.app();
  info.version = session.version();
  info.status = static_cast<SessionStatus>(session.status());
  info.end_reason = static_cast<EndReason>(session.end_reason());
  info.worker_id = session.worker_id();
  info.session_timeout = std::chrono::seconds(session.session_timeout());
  if (session.has_created_at()) info.created_at = timestamp_of(session.created_at());
  if (session.has_expires_at()) info.expires_at = timestamp_of(session.expires_at());
  info.expires_in = duration_of(session.expires_in());
  if (session.has_last_call_at()) info.last_call_at = timestamp_of(session.last_call_at());
  if (session.has_ended_at()) info.ended_at = timestamp_of(session.ended_at());
  info.call_count = session.call_count();
  if (session.has_worker_exit()) info.worker_exit = worker_exit_of(session.worker_exit());
  return info;
}

AppInfo app_info(const v1::App& app) {
  AppInfo info;
  info.name = app.name();
  info.version = app.version();
  info.current_version = app.current_version();
  info.versions.assign(app.versions().begin(), app.versions().end());
  info.default_function = app.default_function();
  for (const auto& each : app.functions()) {
    info.functions.push_back({each.name(), each.description(), each.input_schema(), each.output_schema(),
                              each.partial_schema(), each.streams()});
  }
  info.concurrency = app.concurrency();
  info.idle_worker_ids.assign(app.idle_worker_ids().begin(), app.idle_worker_ids().end());
  return info;
}

WatchEvent watch_event(const v1::WatchSessionsResponse& response) {
  WatchEvent event;
  event.event = static_cast<SessionEvent>(response.event());
  if (response.has_session()) event.session = session_info(response.session());
  event.occurred_at = timestamp_of(response.occurred_at());
  event.resume_token = response.resume_token();
  return event;
}

WorkerExit worker_exit_of(const v1::WorkerExit& exit) {
  WorkerExit found;
  if (exit.has_exit_code()) found.exit_code = exit.exit_code();
  if (exit.has_signal()) found.signal = exit.signal();
  return found;
}

std::chrono::nanoseconds duration_of(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + std::chrono::nanoseconds(duration.nanos());
}

}  // namespace sessiongateway::detail
