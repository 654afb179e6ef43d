// From a gRPC status to what is thrown: the only place that does it.
#pragma once

#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "sessiongateway/errors.h"
#include "sessiongateway/v1/errors.pb.h"

namespace sessiongateway::detail {

/// What a failed request means; `is_run` because only a run has a run state.
ErrorInfo decode(const grpc::Status& status, bool is_run);

/// What an error in the middle of a keepalive stream means.
ErrorInfo decode(const v1::ErrorDetail& detail);

/// A status that no gateway made.
ErrorInfo transport_error(std::string code, std::string message, std::optional<RunState> run_state);

/// Whether the same stream, opened again, would fail in the same way.
bool is_final(grpc::StatusCode code);

}  // namespace sessiongateway::detail
