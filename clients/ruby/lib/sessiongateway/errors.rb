# frozen_string_literal: true

require "sessiongateway/error"

module SessionGateway
  # No session has this id, or it belongs to another caller.
  class SessionNotFoundError < Error
    CODE = "SESSION_NOT_FOUND"
  end

  # The session was idle for longer than its timeout; its state is gone.
  class SessionExpiredError < Error
    CODE = "SESSION_EXPIRED"
  end

  # The session was ended, +end_reason+ says by what; its state is gone.
  class SessionEndedError < Error
    CODE = "SESSION_ENDED"
  end

  # The worker that was asked for is leased to another session.
  class WorkerLeasedError < Error
    CODE = "WORKER_LEASED"
  end

  # The session belongs to another app: compare +session_app+ with +requested_app+.
  class AppMismatchError < Error
    CODE = "APP_MISMATCH"
  end

  # The session belongs to another version of the app: compare +session_app+ with +requested_app+.
  class VersionMismatchError < Error
    CODE = "VERSION_MISMATCH"
  end

  # Fields of the request are wrong; +field_violations+ names every one.
  class InvalidRequestError < Error
    CODE = "INVALID_REQUEST"
  end

  # The app's input type refuses the input; +field_violations+ names each place in it.
  class InvalidInputError < Error
    CODE = "INVALID_INPUT"
  end

  # No app of this name is deployed.
  class AppNotFoundError < Error
    CODE = "APP_NOT_FOUND"
  end

  # The app is deployed, but not in this version.
  class VersionNotFoundError < Error
    CODE = "VERSION_NOT_FOUND"
  end

  # The app has no such function, or none was named and it has no default.
  class FunctionNotFoundError < Error
    CODE = "FUNCTION_NOT_FOUND"
  end

  # No worker of the app has this id, or it is not the session's worker.
  class WorkerNotFoundError < Error
    CODE = "WORKER_NOT_FOUND"
  end

  # The request id was used before for a request with another content.
  class RequestIdReusedError < Error
    CODE = "REQUEST_ID_REUSED"
  end

  # The session has had another number of calls than expected: somebody else used it.
  class CallCountMismatchError < Error
    CODE = "CALL_COUNT_MISMATCH"
  end

  # The gateway was stopped while the call ran. The worker goes on with it, and the session lives on.
  class CallInterruptedError < Error
    CODE = "CALL_INTERRUPTED"
  end

  # The call took longer than its app allows; +end_reason+ tells whether the session has ended with it.
  class CallTimedOutError < Error
    CODE = "CALL_TIMED_OUT"
  end

  # Too many calls wait for the session, or the call's turn did not come in time.
  class SessionBusyError < Error
    CODE = "SESSION_BUSY"
  end

  # No worker became free in time.
  class NoWorkerAvailableError < Error
    CODE = "NO_WORKER_AVAILABLE"
  end

  # A limit of this caller is reached.
  class QuotaExceededError < Error
    CODE = "QUOTA_EXCEEDED"
  end

  # The function raised: see +app_failure+. The session lives on, unless this call was to open it.
  class AppError < Error
    CODE = "APP_ERROR"
  end

  # The app could not be started: see +app_failure+.
  class AppStartFailedError < Error
    CODE = "APP_START_FAILED"
  end

  # The worker process died during the call, and its session with it: see +worker_exit+.
  class WorkerLostError < Error
    CODE = "WORKER_LOST"
  end

  # The API key is missing or not valid.
  class UnauthenticatedError < Error
    CODE = "UNAUTHENTICATED"
  end

  # The API key does not allow this.
  class PermissionDeniedError < Error
    CODE = "PERMISSION_DENIED"
  end

  # The gateway is shutting down and took nothing. Raised after the client has tried again a few times.
  class GatewayDrainingError < Error
    CODE = "GATEWAY_DRAINING"
  end

  # The gateway cannot use its records at the moment and took nothing. Raised after the client has tried again.
  class StoreUnavailableError < Error
    CODE = "STORE_UNAVAILABLE"
  end

  # The gateway failed in a way that it did not foresee: report +error_id+.
  class InternalError < Error
    CODE = "INTERNAL"
  end

  # The gateway cannot be reached, or the connection broke. A run is not sent again by the client: it may have been
  # applied. +run_state+ is :not_started only if no connection was made, else :unknown.
  class UnavailableError < Error
    CODE = "UNAVAILABLE"
  end

  # The time that the caller gave is over. +run_state+ is :not_started only if the run was never sent.
  class DeadlineExceededError < Error
    CODE = "DEADLINE_EXCEEDED"
  end

  # The caller cancelled the request, or closed the client during it.
  class CancelledError < Error
    CODE = "CANCELLED"
  end

  class Error
    # The class of each code of the gateway and of the three of the transport.
    BY_CODE = subclasses.to_h { |each| [each::CODE, each] }.freeze
  end
end
