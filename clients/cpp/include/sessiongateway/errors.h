// What is thrown when a request fails: one class for each code of the gateway, all below Error.
//
// Mistakes that show before anything is sent are UsageError, which is no Error.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "sessiongateway/error_info.h"
#include "sessiongateway/types.h"

namespace sessiongateway {

/// A request failed. Thrown itself for codes that this client does not know, and for statuses that no gateway made.
class Error : public std::runtime_error {
 public:
  explicit Error(ErrorInfo info);

  /// Throws a copy of this error as what it is; for errors that were kept or handed over.
  [[noreturn]] virtual void raise() const;

  const ErrorInfo& info() const noexcept { return *info_; }
  const std::string& code() const noexcept { return info_->code; }
  const std::string& message() const noexcept { return info_->message; }
  const std::string& session_id() const noexcept { return info_->session_id; }
  std::optional<RunState> run_state() const noexcept { return info_->run_state; }
  std::optional<std::chrono::nanoseconds> retry_after() const noexcept { return info_->retry_after; }
  std::optional<EndReason> end_reason() const noexcept { return info_->end_reason; }
  const std::optional<AppFailure>& app_failure() const noexcept { return info_->app_failure; }
  const std::optional<WorkerExit>& worker_exit() const noexcept { return info_->worker_exit; }

 private:
  // Shared, because copying an exception must not throw.
  std::shared_ptr<const ErrorInfo> info_;
};

namespace detail {

/// Gives an error class its constructor and makes `raise` throw that class.
template <class Derived>
class ErrorOf : public Error {
 public:
  using Error::Error;
  [[noreturn]] void raise() const override { throw static_cast<const Derived&>(*this); }
};

}  // namespace detail

/// No session has this id, or it belongs to another caller.
class SessionNotFoundError final : public detail::ErrorOf<SessionNotFoundError> {
 public:
  static constexpr std::string_view kCode = "SESSION_NOT_FOUND";
  using ErrorOf::ErrorOf;
};

/// The session was idle for longer than its timeout; its state is gone.
class SessionExpiredError final : public detail::ErrorOf<SessionExpiredError> {
 public:
  static constexpr std::string_view kCode = "SESSION_EXPIRED";
  using ErrorOf::ErrorOf;
};

/// The session was ended, `end_reason()` says by what; its state is gone.
class SessionEndedError final : public detail::ErrorOf<SessionEndedError> {
 public:
  static constexpr std::string_view kCode = "SESSION_ENDED";
  using ErrorOf::ErrorOf;
};

/// The worker that was asked for is leased to another session.
class WorkerLeasedError final : public detail::ErrorOf<WorkerLeasedError> {
 public:
  static constexpr std::string_view kCode = "WORKER_LEASED";
  using ErrorOf::ErrorOf;
};

/// The session belongs to another app: compare `session_app` with `requested_app`.
class AppMismatchError final : public detail::ErrorOf<AppMismatchError> {
 public:
  static constexpr std::string_view kCode = "APP_MISMATCH";
  using ErrorOf::ErrorOf;
};

/// The session belongs to another version: compare `session_app` with `requested_app`.
class VersionMismatchError final : public detail::ErrorOf<VersionMismatchError> {
 public:
  static constexpr std::string_view kCode = "VERSION_MISMATCH";
  using ErrorOf::ErrorOf;
};

/// Fields of the request are wrong; `field_violations` names every one.
class InvalidRequestError final : public detail::ErrorOf<InvalidRequestError> {
 public:
  static constexpr std::string_view kCode = "INVALID_REQUEST";
  using ErrorOf::ErrorOf;
};

/// The app's input type refuses the input; `field_violations` names each place in it.
class InvalidInputError final : public detail::ErrorOf<InvalidInputError> {
 public:
  static constexpr std::string_view kCode = "INVALID_INPUT";
  using ErrorOf::ErrorOf;
};

/// No app of this name is deployed.
class AppNotFoundError final : public detail::ErrorOf<AppNotFoundError> {
 public:
  static constexpr std::string_view kCode = "APP_NOT_FOUND";
  using ErrorOf::ErrorOf;
};

/// The app is deployed, but not in this version.
class VersionNotFoundError final : public detail::ErrorOf<VersionNotFoundError> {
 public:
  static constexpr std::string_view kCode = "VERSION_NOT_FOUND";
  using ErrorOf::ErrorOf;
};

/// The app has no such function, or none was named and it has no default.
class FunctionNotFoundError final : public detail::ErrorOf<FunctionNotFoundError> {
 public:
  static constexpr std::string_view kCode = "FUNCTION_NOT_FOUND";
  using ErrorOf::ErrorOf;
};

/// No worker of the app has this id, or it is not the session's worker.
class WorkerNotFoundError final : public detail::ErrorOf<WorkerNotFoundError> {
 public:
  static constexpr std::string_view kCode = "WORKER_NOT_FOUND";
  using ErrorOf::ErrorOf;
};

/// The request id was used before for a request with another content.
class RequestIdReusedError final : public detail::ErrorOf<RequestIdReusedError> {
 public:
  static constexpr std::string_view kCode = "REQUEST_ID_REUSED";
  using ErrorOf::ErrorOf;
};

/// Too many calls wait for the session, or the call's turn did not come in time.
class SessionBusyError final : public detail::ErrorOf<SessionBusyError> {
 public:
  static constexpr std::string_view kCode = "SESSION_BUSY";
  using ErrorOf::ErrorOf;
};

/// No worker became free in time.
class NoWorkerAvailableError final : public detail::ErrorOf<NoWorkerAvailableError> {
 public:
  static constexpr std::string_view kCode = "NO_WORKER_AVAILABLE";
  using ErrorOf::ErrorOf;
};

/// A limit of this caller is reached.
class QuotaExceededError final : public detail::ErrorOf<QuotaExceededError> {
 public:
  static constexpr std::string_view kCode = "QUOTA_EXCEEDED";
  using ErrorOf::ErrorOf;
};

/// The function raised, `app_failure()` says what. The session lives on, unless this opened it.
class AppError final : public detail::ErrorOf<AppError> {
 public:
  static constexpr std::string_view kCode = "APP_ERROR";
  using ErrorOf::ErrorOf;
};

/// The app could not be started, `app_failure()` says why.
class AppStartFailedError final : public detail::ErrorOf<AppStartFailedError> {
 public:
  static constexpr std::string_view kCode = "APP_START_FAILED";
  using ErrorOf::ErrorOf;
};

/// The worker process died during the call, and its session with it: see `worker_exit()`.
class WorkerLostError final : public detail::ErrorOf<WorkerLostError> {
 public:
  static constexpr std::string_view kCode = "WORKER_LOST";
  using ErrorOf::ErrorOf;
};

/// The API key is missing or not valid.
class UnauthenticatedError final : public detail::ErrorOf<UnauthenticatedError> {
 public:
  static constexpr std::string_view kCode = "UNAUTHENTICATED";
  using ErrorOf::ErrorOf;
};

/// The API key does not allow this.
class PermissionDeniedError final : public detail::ErrorOf<PermissionDeniedError> {
 public:
  static constexpr std::string_view kCode = "PERMISSION_DENIED";
  using ErrorOf::ErrorOf;
};

/// The gateway is shutting down and took nothing. Thrown after the client has tried again a few times.
class GatewayDrainingError final : public detail::ErrorOf<GatewayDrainingError> {
 public:
  static constexpr std::string_view kCode = "GATEWAY_DRAINING";
  using ErrorOf::ErrorOf;
};

/// The gateway failed in a way that it did not foresee; `error_id` finds its log entry.
class InternalError final : public detail::ErrorOf<InternalError> {
 public:
  static constexpr std::string_view kCode = "INTERNAL";
  using ErrorOf::ErrorOf;
};

/// The session has had another number of calls than expected: somebody else used it.
class CallCountMismatchError final : public detail::ErrorOf<CallCountMismatchError> {
 public:
  static constexpr std::string_view kCode = "CALL_COUNT_MISMATCH";
  using ErrorOf::ErrorOf;
};

/// The gateway was stopped while the call ran. The worker goes on with it, and the session lives on.
class CallInterruptedError final : public detail::ErrorOf<CallInterruptedError> {
 public:
  static constexpr std::string_view kCode = "CALL_INTERRUPTED";
  using ErrorOf::ErrorOf;
};

/// The gateway cannot use its records at the moment and took nothing. Thrown after trying again.
class StoreUnavailableError final : public detail::ErrorOf<StoreUnavailableError> {
 public:
  static constexpr std::string_view kCode = "STORE_UNAVAILABLE";
  using ErrorOf::ErrorOf;
};

/// The call took longer than its app allows; `end_reason()` tells whether the session has ended with it.
class CallTimedOutError final : public detail::ErrorOf<CallTimedOutError> {
 public:
  static constexpr std::string_view kCode = "CALL_TIMED_OUT";
  using ErrorOf::ErrorOf;
};

/// The gateway cannot be reached, or the connection broke. A run is not sent again, since it may have been applied:
/// `run_state()` is `not_started` only if no connection was made, else `unknown`.
class UnavailableError final : public detail::ErrorOf<UnavailableError> {
 public:
  static constexpr std::string_view kCode = "UNAVAILABLE";
  using ErrorOf::ErrorOf;
};

/// The time that the caller gave is over. `run_state()` is `not_started` only if the run was never sent.
class DeadlineExceededError final : public detail::ErrorOf<DeadlineExceededError> {
 public:
  static constexpr std::string_view kCode = "DEADLINE_EXCEEDED";
  using ErrorOf::ErrorOf;
};

/// The caller cancelled the request, or closed its client. `run_state()` as for UnavailableError.
class CancelledError final : public detail::ErrorOf<CancelledError> {
 public:
  static constexpr std::string_view kCode = "CANCELLED";
  using ErrorOf::ErrorOf;
};

/// The caller's mistake, found before anything was sent: a closed client, a key or a text that cannot be sent, an
/// unknown word, something that was moved from.
class UsageError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// The error of a code, as an object of its class; of Error itself for a code that this client does not know.
std::shared_ptr<const Error> make_error(ErrorInfo info);

/// Throws what `make_error` makes.
[[noreturn]] void throw_error(ErrorInfo info);

}  // namespace sessiongateway
