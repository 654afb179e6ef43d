// Between the messages of the protocol and what callers see.
#pragma once

#include <google/protobuf/duration.pb.h>

#include <chrono>

#include "sessiongateway/streams.h"
#include "sessiongateway/types.h"
#include "sessiongateway/v1/apps.pb.h"
#include "sessiongateway/v1/errors.pb.h"
#include "sessiongateway/v1/sessions.pb.h"

namespace sessiongateway::detail {

/// \throws UsageError A field is not UTF-8.
v1::RunRequest run_request(const RunParams& params);

/// \throws Error The output cannot be written as JSON.
RunResult run_result(v1::RunResponse&& response);

/// The text of a part that is not the result.
/// \throws Error It cannot be written as JSON.
std::string partial_output(v1::RunStreamResponse&& part);

SessionInfo session_info(const v1::Session& session);

AppInfo app_info(const v1::App& app);

WatchEvent watch_event(const v1::WatchSessionsResponse& response);

WorkerExit worker_exit_of(const v1::WorkerExit& exit);

std::chrono::nanoseconds duration_of(const google::protobuf::Duration& duration);

}  // namespace sessiongateway::detail
