#include "sessiongateway/errors.h"

#include <cstdlib>

namespace sessiongateway {

namespace {

template <class... Classes>
struct ClassList {
  static std::shared_ptr<const Error> make(const ErrorInfo& info) {
    std::shared_ptr<const Error> made;
    const bool is_known = ((info.code == Classes::kCode && (made = std::make_shared<Classes>(info), true)) || ...);
    return is_known ? made : std::make_shared<Error>(info);
  }
};

using AllErrors =
    ClassList<SessionNotFoundError, SessionExpiredError, SessionEndedError, WorkerLeasedError, AppMismatchError,
              VersionMismatchError, InvalidRequestError, InvalidInputError, AppNotFoundError, VersionNotFoundError,
              FunctionNotFoundError, WorkerNotFoundError, RequestIdReusedError, SessionBusyError,
              NoWorkerAvailableError, QuotaExceededError, AppError, AppStartFailedError, WorkerLostError,
              UnauthenticatedError, PermissionDeniedError, GatewayDrainingError, InternalError, CallCountMismatchError,
              CallInterruptedError, StoreUnavailableError, CallTimedOutError, UnavailableError, DeadlineExceededError,
              CancelledError>;

}  // namespace

Error::Error(ErrorInfo info)
    : std::runtime_error(info.message.empty() ? info.code : info.code + ": " + info.message),
      info_(std::make_shared<const ErrorInfo>(std::move(info))) {}

void Error::raise() const {
  throw *this;
}

std::shared_ptr<const Error> make_error(ErrorInfo info) {
  // A gateway that says INTERNAL has logged it, and one that refuses a key has looked at it. A proxy has not.
  const bool is_transports = info.code == UnavailableError::kCode || info.code == DeadlineExceededError::kCode ||
                             info.code == CancelledError::kCode;
  if (info.is_bare && !is_transports) return std::make_shared<Error>(std::move(info));
  return AllErrors::make(info);
}

void throw_error(ErrorInfo info) {
  const auto error = make_error(std::move(info));
  error->raise();
  // GCC does not believe it of a virtual function.
  std::abort();
}

}  // namespace sessiongateway
