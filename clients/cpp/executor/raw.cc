#include "raw.h"

#include <grpcpp/create_channel.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "sessiongateway/v1/sessions.grpc.pb.h"

namespace executor {

namespace v1 = sessiongateway::v1;
using nlohmann::json;

namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array kStatuses = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

std::string decoded(const std::string& text) {
  std::string bytes;
  std::uint32_t collected = 0;
  int bits = 0;
  for (const char each : text) {
    const std::size_t digit = kDigits.find(each);
    if (digit == std::string_view::npos) break;
    collected = collected << 6U | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<char>(collected >> static_cast<unsigned>(bits)));
    }
  }
  return bytes;
}

std::string encoded(const std::string& bytes) {
  std::string text;
  for (std::size_t start = 0; start < bytes.size(); start += 3) {
    std::uint32_t group = 0;
    for (std::size_t offset = 0; offset < 3; ++offset) {
      const bool is_there = start + offset < bytes.size();
      group = group << 8U | (is_there ? static_cast<unsigned char>(bytes[start + offset]) : 0U);
    }
    for (unsigned digit = 0; digit < 4; ++digit) {
      const bool is_there = start + digit <= bytes.size();
      text.push_back(is_there ? kDigits[group >> (18U - 6U * digit) & 63U] : '=');
    }
  }
  return text;
}

std::string lower_case(std::string word, std::size_t prefix) {
  word.erase(0, prefix);
  for (char& each : word) each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
  return word;
}

json or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

void read(const google::protobuf::Any& packed, json& fields) {
  google::rpc::ErrorInfo info;
  google::rpc::RetryInfo retry;
  google::rpc::BadRequest request;
  v1::ErrorDetail detail;
  if (packed.UnpackTo(&info)) {
    fields["code"] = info.reason();
    fields["metadata"] = json::object();
    for (const auto& [key, value] : info.metadata()) fields["metadata"][key] = value;
  } else if (packed.UnpackTo(&detail)) {
    fields["http_status"] = detail.http_status();
    const bool has_state = detail.run_state() != v1::RUN_STATE_UNSPECIFIED;
    fields["run_state"] = has_state ? json(lower_case(v1::RunState_Name(detail.run_state()), 10)) : json(nullptr);
    fields["session_id"] = or_null(detail.session_id());
    fields["call_id"] = or_null(detail.call_id());
  } else if (packed.UnpackTo(&retry)) {
    fields["retry_after"] = static_cast<double>(retry.retry_delay().seconds()) + retry.retry_delay().nanos() / 1e9;
  } else if (packed.UnpackTo(&request)) {
    fields["field_violations"] = json::array();
    for (const auto& each : request.field_violations()) {
      fields["field_violations"].push_back(json::array({each.field(), each.description()}));
    }
  }
}

}  // namespace

json raw_run(const std::string& address, const std::string& api_key, const std::string& request) {
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  const auto stub = v1::SessionService::NewStub(channel);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  if (!api_key.empty()) context.AddMetadata("authorization", "Bearer " + api_key);
  v1::RunRequest message;
  if (!message.ParseFromString(decoded(request))) throw std::invalid_argument("that is no RunRequest");
  v1::RunResponse response;
  const grpc::Status status = stub->Run(&context, message, &response);
  if (status.ok()) return {{"response", encoded(response.SerializeAsString())}};
  const char* name = kStatuses.at(static_cast<std::size_t>(status.error_code()));
  json fields = {{"code", name}, {"grpc_status", name}, {"message", status.error_message()}, {"class", "grpc::Status"}};
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& packed : details.details()) read(packed, fields);
  }
  throw RawError(fields);
}

}  // namespace executor
