// What requests take and what they answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace sessiongateway {

/// Where a session stands. A value that only a newer gateway knows keeps its number.
enum class SessionStatus : int { unspecified = 0, active = 1, ended = 2, expired = 3 };

/// Why a session is no longer active. A value that only a newer gateway knows keeps its number.
enum class EndReason : int {
  unspecified = 0,
  caller = 1,
  idle_timeout = 2,
  worker_lost = 3,
  first_call_failed = 4,
  gateway_restarted = 5,
  max_lifetime = 6,
  call_timed_out = 7,
  memory_limit = 8,
  process_limit = 9,
  disk_limit = 10,
};

/// Whether the function of a run was applied: `not_started` may safely be sent again, `unknown` may have had effects,
/// `completed` ran to its end.
enum class RunState : int { unspecified = 0, not_started = 1, unknown = 2, completed = 3 };

/// What happened to a session. A value that only a newer gateway knows keeps its number.
enum class SessionEvent : int { unspecified = 0, watching = 1, created = 2, ended = 3, expired = 4, worker_lost = 5 };

/// The lower-case word of a value, such as "idle_timeout"; "unknown_42" for one that only a newer gateway knows.
std::string to_string(SessionStatus status);
std::string to_string(EndReason reason);
std::string to_string(RunState state);
std::string to_string(SessionEvent event);

/// The status of a word such as "active".
/// \throws UsageError There is no such status.
SessionStatus parse_session_status(std::string_view word);

/// How a worker process ended. Neither is set when it vanished unseen.
struct WorkerExit {
  std::optional<int> exit_code = std::nullopt;
  std::optional<int> signal = std::nullopt;

  bool operator==(const WorkerExit&) const = default;
};

using Timestamp = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

/// A session as it was at the moment of an answer.
struct SessionInfo {
  std::string id;
  std::string app;
  /// The app's version; a session never changes it.
  std::string version;
  SessionStatus status = SessionStatus::unspecified;
  /// `unspecified` while the session is active.
  EndReason end_reason = EndReason::unspecified;
  std::string worker_id;
  /// The idle timeout.
  std::chrono::seconds session_timeout{0};
  /// By the gateway's wall clock, as all moments here.
  std::optional<Timestamp> created_at;
  std::optional<Timestamp> expires_at;
  /// The time left at the moment of the answer, so that no clocks need to be compared; zero for a finished session.
  std::chrono::nanoseconds expires_in{0};
  std::optional<Timestamp> last_call_at;
  std::optional<Timestamp> ended_at;
  std::int64_t call_count = 0;
  /// How the worker died, if it did.
  std::optional<WorkerExit> worker_exit;
};

/// Something that a run can call.
struct FunctionInfo {
  std::string name;
  std::string description;
  /// JSON Schemas, as JSON text.
  std::string input_schema;
  std::string output_schema;
  /// Empty unless the function streams.
  std::string partial_schema;
  /// Whether it yields partial outputs.
  bool streams = false;
};

/// An app in one version.
struct AppInfo {
  std::string name;
  std::string version;
  std::string current_version;
  std::vector<std::string> versions;
  std::string default_function;
  /// Empty in lists: only `Apps::get` fills it in, and `idle_worker_ids`.
  std::vector<FunctionInfo> functions;
  int concurrency = 0;
  std::vector<std::string> idle_worker_ids;
};

/// What to run. Empty and unset fields are left out of the request.
struct RunParams {
  /// "name" or "name@version".
  std::string app = {};
  /// Left out: the app's default function, else "run".
  std::string function = {};
  /// A JSON object as UTF-8 text, sent as it is: integers of any size stay exact.
  std::string input = "{}";
  /// Left out: a plain call. "new": open a session. Else a session's id.
  std::string session = {};
  /// The idle timeout of a new session in whole seconds, 1 to 3600. Left out: 60.
  std::optional<std::chrono::seconds> session_timeout = std::nullopt;
  std::string worker_id = {};
  /// Idempotency key: a repeat with the same content gets the first answer and does not run again.
  std::string request_id = {};
  /// Run only if the session has had exactly this many calls.
  std::optional<std::int64_t> expected_call_count = std::nullopt;
};

/// The answer of a run.
struct RunResult {
  /// Empty for a plain call.
  std::string session_id;
  /// What the function returned: a JSON object as UTF-8 text.
  std::string output;
  /// Names the call in the gateway's log.
  std::string call_id;
  /// The session after the call; none for a plain call.
  std::optional<SessionInfo> session;
};

/// How long a request may take with all its attempts, and what cancels it.
struct CallOptions {
  /// Left out: the client's own timeout. At its end the request fails with DeadlineExceededError.
  std::optional<std::chrono::nanoseconds> timeout = std::nullopt;
  /// Requesting a stop cancels the request on the gateway too; it fails with CancelledError.
  std::stop_token stop = {};
};

/// How long to wait for the next event of a stream that has no end of its own.
struct WaitOptions {
  /// Left out: as long as it takes.
  std::optional<std::chrono::nanoseconds> timeout = std::nullopt;
  /// Requesting a stop ends the waiting, not the stream.
  std::stop_token stop = {};
};

}  // namespace sessiongateway
