#include "error_decoding.h"

#include <array>
#include <charconv>

#include "convert.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace sessiongateway::detail {

namespace {

constexpr std::string_view kDomain = "sessiongateway";
constexpr std::string_view kPrefix = "ERROR_CODE_";

constexpr std::array<const char*, 17> kStatusNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

std::string status_name(grpc::StatusCode code) {
  const auto number = static_cast<std::size_t>(code);
  return number < kStatusNames.size() ? kStatusNames.at(number) : "UNKNOWN";
}

/// The parts of a status that this client understands; each may be missing or broken.
struct Details {
  google::rpc::ErrorInfo info;
  google::rpc::RetryInfo retry;
  google::rpc::BadRequest request;
  std::optional<v1::ErrorDetail> detail;

  explicit Details(const std::string& bytes) {
    google::rpc::Status status;
    // A proxy's garbage must not hide the status itself.
    if (bytes.empty() || !status.ParseFromString(bytes)) return;
    for (const auto& packed : status.details()) {
      if (v1::ErrorDetail found; packed.Is<v1::ErrorDetail>() && packed.UnpackTo(&found)) detail = std::move(found);
      if (packed.Is<google::rpc::ErrorInfo>()) packed.UnpackTo(&info);
      if (packed.Is<google::rpc::RetryInfo>()) packed.UnpackTo(&retry);
      if (packed.Is<google::rpc::BadRequest>()) packed.UnpackTo(&request);
    }
  }

  bool is_from_gateway() const { return detail || (info.domain() == kDomain && !info.reason().empty()); }
};

std::string code_name(int number, const std::string& reason) {
  if (number != 0 && v1::ErrorCode_IsValid(number)) {
    return v1::ErrorCode_Name(static_cast<v1::ErrorCode>(number)).substr(kPrefix.size());
  }
  if (!reason.empty()) return reason;
  return number == 0 ? "UNKNOWN" : "UNKNOWN_" + std::to_string(number);
}

std::string pinned(const v1::AppVersion& app) {
  return app.version().empty() ? app.app() : app.app() + "@" + app.version();
}

void take_detail(const v1::ErrorDetail& detail, ErrorInfo& info) {
  info.session_id = detail.session_id();
  if (detail.run_state() != 0) info.run_state = static_cast<RunState>(detail.run_state());
  if (detail.has_retry_after()) info.retry_after = duration_of(detail.retry_after());
  if (detail.http_status() != 0) info.http_status = detail.http_status();
  if (detail.end_reason() != 0) info.end_reason = static_cast<EndReason>(detail.end_reason());
  info.call_id = detail.call_id();
  if (detail.has_app_failure()) {
    const auto& failure = detail.app_failure();
    info.app_failure = AppFailure{failure.type(), failure.message(), failure.traceback()};
  }
  if (detail.has_worker_exit()) info.worker_exit = worker_exit_of(detail.worker_exit());
  if (detail.has_session_app()) info.session_app = pinned(detail.session_app());
  if (detail.has_requested_app()) info.requested_app = pinned(detail.requested_app());
  info.error_id = detail.error_id();
}

void take_others(const Details& found, ErrorInfo& info) {
  info.metadata.insert(found.info.metadata().begin(), found.info.metadata().end());
  if (const auto text = info.metadata.find("httpStatus"); !info.http_status && text != info.metadata.end()) {
    int number = 0;
    const char* end = text->second.data() + text->second.size();
    const auto [stop, problem] = std::from_chars(text->second.data(), end, number);
    if (problem == std::errc() && stop == end) info.http_status = number;
  }
  for (const auto& each : found.request.field_violations()) {
    info.field_violations.emplace_back(each.field(), each.description());
  }
  if (found.retry.has_retry_delay()) info.retry_after = duration_of(found.retry.retry_delay());
}

}  // namespace

ErrorInfo decode(const grpc::Status& status, bool is_run) {
  const Details found(status.error_details());
  if (found.is_from_gateway()) {
    ErrorInfo info;
    info.grpc_status = status_name(status.error_code());
    info.message = status.error_message();
    if (found.detail) take_detail(*found.detail, info);
    if (found.detail && info.message.empty()) info.message = found.detail->message();
    info.code = code_name(found.detail ? found.detail->code() : 0, found.info.reason());
    take_others(found, info);
    return info;
  }
  const auto run_state = is_run ? std::optional(RunState::unknown) : std::nullopt;
  if (status.error_code() == grpc::StatusCode::CANCELLED) {
    // Nobody here cancelled it: a server that is stopped answers so what it had not yet looked at.
    return transport_error("UNAVAILABLE", "the server went away without an answer", run_state);
  }
  return transport_error(status_name(status.error_code()), status.error_message(), run_state);
}

ErrorInfo decode(const v1::ErrorDetail& detail) {
  ErrorInfo info;
  info.code = code_name(detail.code(), "");
  info.message = detail.message();
  take_detail(detail, info);
  return info;
}

ErrorInfo transport_error(std::string code, std::string message, std::optional<RunState> run_state) {
  ErrorInfo info;
  info.grpc_status = code;
  info.code = std::move(code);
  info.is_bare = true;
  info.message = std::move(message);
  info.run_state = run_state;
  return info;
}

bool is_final(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::UNIMPLEMENTED:
      return true;
    default:
      return false;
  }
}

}  // namespace sessiongateway::detail
