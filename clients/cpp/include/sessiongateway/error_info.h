// What is known of a failure.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sessiongateway/types.h"

namespace sessiongateway {

/// What the app's code raised.
struct AppFailure {
  std::string type;
  std::string message;
  std::string traceback;
};

/// Everything that is known of a failure. What does not apply is left empty.
struct ErrorInfo {
  /// Why, such as "SESSION_EXPIRED". Of a code that this client does not know: the gateway's name for it. Of a status
  /// that no gateway made: the gRPC name, such as "UNIMPLEMENTED".
  std::string code = {};
  /// The same for people.
  std::string message = {};
  /// The gRPC status, such as "FAILED_PRECONDITION"; empty for an error within a keepalive stream.
  std::string grpc_status = {};
  /// Whether the status came without the gateway's details: from gRPC itself, or from something between. Then `Error`
  /// itself is thrown, but for UNAVAILABLE, DEADLINE_EXCEEDED and CANCELLED.
  bool is_bare = false;
  std::string session_id = {};
  /// Set for runs only.
  std::optional<RunState> run_state = std::nullopt;
  /// How long to wait before sending again, where that may help.
  std::optional<std::chrono::nanoseconds> retry_after = std::nullopt;
  std::optional<int> http_status = std::nullopt;
  /// Why the session is no longer active, if it is not.
  std::optional<EndReason> end_reason = std::nullopt;
  /// The call as it stands in the gateway's log.
  std::string call_id = {};
  /// Each wrong field, and what is wrong with it.
  std::vector<std::pair<std::string, std::string>> field_violations = {};
  /// For APP_ERROR and APP_START_FAILED.
  std::optional<AppFailure> app_failure = std::nullopt;
  /// How the worker died, if it did.
  std::optional<WorkerExit> worker_exit = std::nullopt;
  /// "name@version" that the session is bound to, and that the request meant, where these differ.
  std::string session_app = {};
  std::string requested_app = {};
  /// Finds the log entry of an INTERNAL error.
  std::string error_id = {};
  /// Every variable word of the message by its key.
  std::map<std::string, std::string> metadata = {};
};

}  // namespace sessiongateway
