"""What the client raises when a request fails.

    SessionGatewayError                 everything below; itself for a code or status that this client does not know
     ├─ SessionNotFoundError            SESSION_NOT_FOUND
     ├─ SessionExpiredError             SESSION_EXPIRED
     ├─ SessionEndedError               SESSION_ENDED
     ├─ WorkerLeasedError               WORKER_LEASED
     ├─ AppMismatchError                APP_MISMATCH
     ├─ VersionMismatchError            VERSION_MISMATCH
     ├─ InvalidRequestError             INVALID_REQUEST
     ├─ InvalidInputError               INVALID_INPUT
     ├─ AppNotFoundError                APP_NOT_FOUND
     ├─ VersionNotFoundError            VERSION_NOT_FOUND
     ├─ FunctionNotFoundError           FUNCTION_NOT_FOUND
     ├─ WorkerNotFoundError             WORKER_NOT_FOUND
     ├─ RequestIdReusedError            REQUEST_ID_REUSED
     ├─ CallCountMismatchError          CALL_COUNT_MISMATCH
     ├─ CallInterruptedError            CALL_INTERRUPTED
     ├─ CallTimedOutError               CALL_TIMED_OUT
     ├─ SessionBusyError                SESSION_BUSY
     ├─ NoWorkerAvailableError          NO_WORKER_AVAILABLE
     ├─ QuotaExceededError              QUOTA_EXCEEDED
     ├─ AppError                        APP_ERROR
     ├─ AppStartFailedError             APP_START_FAILED
     ├─ WorkerLostError                 WORKER_LOST
     ├─ UnauthenticatedError            UNAUTHENTICATED
     ├─ PermissionDeniedError           PERMISSION_DENIED
     ├─ GatewayDrainingError            GATEWAY_DRAINING
     ├─ StoreUnavailableError           STORE_UNAVAILABLE
     ├─ InternalError                   INTERNAL
     ├─ UnavailableError                UNAVAILABLE: the gateway cannot be reached, or the connection broke
     └─ DeadlineExceededError           DEADLINE_EXCEEDED: the time given by the caller is over

The last two come from the transport, all others from the gateway. Mistakes that show before anything is sent, such as
a misspelt field or a NaN in the input, are TypeError and ValueError.
"""

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from sessiongateway.v1 import errors_pb2


class SessionGatewayError(Exception):
    """A request failed.

    Attributes:
        code: Why, such as "SESSION_EXPIRED". Of a code that this client does not know: the gateway's name for it. Of
            a status that does not come from a gateway: the gRPC name, such as "UNIMPLEMENTED".
        message: The same for people.
        session_id: The session in question, or None.
        run_state: Whether the function of a run was applied: "not_started" (it is safe to send again), "unknown" or
            "completed". None for other requests.
        retry_after: Seconds to wait before sending again, where that may help, or None.
        http_status: The HTTP status that goes with the code, or None.
        metadata: Every variable word of the message by its key.
        call_id: The call that failed, as it stands in the gateway's log, or None.
        end_reason: Why the session is no longer active ("caller", "idle_timeout", "worker_lost", ...), or None.
        worker_exit: How the worker died: {"exit_code": n}, {"signal": n}, {} if unknown, or None if it did not.
        session_app: The app and version that the session is bound to, as "app@version", or None.
        requested_app: The app and version that the request meant, as "app@version", or None.
        field_violations: (field, what is wrong with it) for each wrong field.
        details: The ErrorDetail message, or None when the error does not come from a gateway.
    """

    default_code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        session_id: str | None = None,
        run_state: str | None = None,
        retry_after: float | None = None,
        http_status: int | None = None,
        metadata: dict[str, str] | None = None,
        call_id: str | None = None,
        end_reason: str | None = None,
        worker_exit: dict[str, int] | None = None,
        session_app: str | None = None,
        requested_app: str | None = None,
        field_violations: list[tuple[str, str]] | None = None,
        details: "errors_pb2.ErrorDetail | None" = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.session_id = session_id
        self.run_state = run_state
        self.retry_after = retry_after
        self.http_status = http_status
        self.metadata = metadata or {}
        self.call_id = call_id
        self.end_reason = end_reason
        self.worker_exit = worker_exit
        self.session_app = session_app
        self.requested_app = requested_app
        self.field_violations = field_violations or []
        self.details = details

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class SessionNotFoundError(SessionGatewayError):
    """No session has this id, or it belongs to another caller."""

    default_code = "SESSION_NOT_FOUND"


class SessionExpiredError(SessionGatewayError):
    """The session was idle for longer than its timeout; its state is gone."""

    default_code = "SESSION_EXPIRED"


class SessionEndedError(SessionGatewayError):
    """The session was ended, `end_reason` says by what; its state is gone."""

    default_code = "SESSION_ENDED"


class WorkerLeasedError(SessionGatewayError):
    """The worker that was asked for is leased to another session."""

    default_code = "WORKER_LEASED"


class AppMismatchError(SessionGatewayError):
    """The session belongs to another app: compare `session_app` with `requested_app`."""

    default_code = "APP_MISMATCH"


class VersionMismatchError(SessionGatewayError):
    """The session belongs to another version of the app: compare `session_app` with `requested_app`."""

    default_code = "VERSION_MISMATCH"


class InvalidRequestError(SessionGatewayError):
    """Fields of the request are wrong; `field_violations` names every one."""

    default_code = "INVALID_REQUEST"


class InvalidInputError(SessionGatewayError):
    """The app's input type refuses the input; `field_violations` names each place in it."""

    default_code = "INVALID_INPUT"


class AppNotFoundError(SessionGatewayError):
    """No app of this name is deployed."""

    default_code = "APP_NOT_FOUND"


class VersionNotFoundError(SessionGatewayError):
    """The app is deployed, but not in this version."""

    default_code = "VERSION_NOT_FOUND"


class FunctionNotFoundError(SessionGatewayError):
    """The app has no such function, or none was named and it has no default."""

    default_code = "FUNCTION_NOT_FOUND"


class WorkerNotFoundError(SessionGatewayError):
    """No worker of the app has this id, or it is not the session's worker."""

    default_code = "WORKER_NOT_FOUND"


class RequestIdReusedError(SessionGatewayError):
    """The request id was used before for a request with another content."""

    default_code = "REQUEST_ID_REUSED"


class CallCountMismatchError(SessionGatewayError):
    """The session has had another number of calls than expected: somebody else used it."""

    default_code = "CALL_COUNT_MISMATCH"


class CallInterruptedError(SessionGatewayError):
    """The gateway was stopped while the call ran. The worker goes on with it, and the session lives on."""

    default_code = "CALL_INTERRUPTED"


class CallTimedOutError(SessionGatewayError):
    """The call took longer than its app allows; `end_reason` tells whether the session has ended with it."""

    default_code = "CALL_TIMED_OUT"


class SessionBusyError(SessionGatewayError):
    """Too many calls wait for the session, or the call's turn did not come in time."""

    default_code = "SESSION_BUSY"


class NoWorkerAvailableError(SessionGatewayError):
    """No worker became free in time."""

    default_code = "NO_WORKER_AVAILABLE"


class QuotaExceededError(SessionGatewayError):
    """A limit of this caller is reached."""

    default_code = "QUOTA_EXCEEDED"


class _AppFailureError(SessionGatewayError):
    """Code of the app raised.

    Attributes:
        type: The type of the app's exception, such as "ValueError".
        app_message: Its text.
        traceback: The end of its traceback.
    """

    def __init__(
        self, message: str = "", *, type: str = "", app_message: str = "", traceback: str = "", **rest: Any
    ) -> None:
        super().__init__(message, **rest)
        self.type = type
        self.app_message = app_message
        self.traceback = traceback


class AppError(_AppFailureError):
    """The function raised: see `type`, `app_message` and `traceback`. The session lives on, unless this opened it."""

    default_code = "APP_ERROR"


class AppStartFailedError(_AppFailureError):
    """The app could not be started: see `type`, `app_message` and `traceback`."""

    default_code = "APP_START_FAILED"


class WorkerLostError(SessionGatewayError):
    """The worker process died during the call, and its session with it: see `worker_exit`."""

    default_code = "WORKER_LOST"


class UnauthenticatedError(SessionGatewayError):
    """The gateway does not know who calls: no API key, token or certificate, or one that is not good."""

    default_code = "UNAUTHENTICATED"


class PermissionDeniedError(SessionGatewayError):
    """The gateway knows the caller, who may not do this."""

    default_code = "PERMISSION_DENIED"


class GatewayDrainingError(SessionGatewayError):
    """The gateway is shutting down and took nothing. Raised after the client has tried again a few times."""

    default_code = "GATEWAY_DRAINING"


class StoreUnavailableError(SessionGatewayError):
    """The gateway cannot use its records at the moment and took nothing. Raised after the client has tried again."""

    default_code = "STORE_UNAVAILABLE"


class InternalError(SessionGatewayError):
    """The gateway failed in a way that it did not foresee.

    Attributes:
        error_id: Finds the entry in the gateway's log.
    """

    default_code = "INTERNAL"

    def __init__(self, message: str = "", *, error_id: str = "", **rest: Any) -> None:
        super().__init__(message, **rest)
        self.error_id = error_id


class UnavailableError(SessionGatewayError):
    """The gateway cannot be reached, or the connection broke.

    A run is not sent again by the client, since it may have been applied: `run_state` is "not_started" only if no
    connection was made, else "unknown".
    """

    default_code = "UNAVAILABLE"


class DeadlineExceededError(SessionGatewayError):
    """The time that the caller gave is over. `run_state` is "not_started" only if the run was never sent."""

    default_code = "DEADLINE_EXCEEDED"


BY_CODE: dict[str, type[SessionGatewayError]] = {
    value.default_code: value
    for value in list(globals().values())
    if isinstance(value, type) and issubclass(value, SessionGatewayError) and "default_code" in vars(value)
}
"""The class of each code of the gateway and of the two of the transport."""

for _exception in BY_CODE.values():
    # People import them from the package, so tracebacks name them so.
    _exception.__module__ = "sessiongateway"
