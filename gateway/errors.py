"""Everything that can go wrong, as the domain says it.

    GatewayError
    ├── InvalidRequest          a field is wrong
    ├── InvalidInput            the app's input type refused the input
    ├── SessionNotFound, SessionExpired, SessionEnded
    ├── AppMismatch, VersionMismatch
    ├── AppNotFound, VersionNotFound, FunctionNotFound, WorkerNotFound
    ├── WorkerLeased, WorkerLost, NoWorkerAvailable, SessionBusy
    ├── RequestIdReused, CallCountMismatch, CallInterrupted, CallTimedOut, QuotaExceeded
    ├── AppError, AppStartFailed
    ├── Unauthenticated, PermissionDenied
    ├── GatewayDraining, StoreUnavailable
    └── InternalError           what nobody foresaw

Raised anywhere, translated once: `gateway.rpc.error_table` has one row for each class. `metadata` holds every variable
word of the message under the keys that the row promises.
"""

import enum
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class RunState(enum.Enum):
    """Whether the function of a call was applied (contract, "Did my call run?")."""

    NOT_STARTED = "not_started"
    UNKNOWN = "unknown"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that is wrong: its path, such as `session_timeout` or `input.items.0`, and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What an app's code raised: the exception's type, its text, and the end of its traceback."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """How a worker process ended. Neither is set when it vanished unseen."""

    exit_code: int | None = None
    signal: int | None = None
    limit: str = ""
    """The limit of its app for which the gateway killed it, such as `memory`."""

    def __str__(self) -> str:
        if self.signal is not None:
            return f"signal {self.signal}"
        if self.exit_code is not None:
            return f"exit code {self.exit_code}"
        return "unknown"


class GatewayError(Exception):
    """An answer of the failure contract.

    `run_state`, `session_id`, `call_id` and `trace_id` may be filled in on the way up by whoever knows them; everything
    else is set where the error is raised.
    """

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        session_id: str = "",
        run_state: RunState | None = None,
        retry_after: float | None = None,
        violations: Sequence[Violation] = (),
        failure: Failure | None = None,
        worker_exit: WorkerExit | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.session_id = session_id
        self.call_id = ""
        self.trace_id = ""
        self.run_state = run_state
        self.retry_after = retry_after
        self.violations = tuple(violations)
        self.failure = failure
        self.worker_exit = worker_exit
        self.end_reason = ""
        """The `EndReason` value of the session in question, once it has ended."""


class InvalidRequest(GatewayError):
    """One or more fields of the request are wrong; `violations` has all of them."""

    @classmethod
    def of(cls, violations: Sequence[Violation]) -> "InvalidRequest":
        listed = "; ".join(f"{v.field}: {v.description}" for v in violations)
        return cls(
            f"the request is not valid: {listed}",
            metadata={"fields": ", ".join(v.field for v in violations)},
            violations=violations,
        )


class InvalidInput(GatewayError):
    """The app's input type refused the input; the function was not run."""


class SessionNotFound(GatewayError):
    """No such session, or not this caller's: the two read the same."""

    @classmethod
    def of(cls, session_id: str, run_state: RunState | None = None) -> "SessionNotFound":
        return cls(
            f"there is no session {session_id}",
            metadata={"sessionId": session_id},
            session_id=session_id,
            run_state=run_state,
        )


class SessionExpired(GatewayError):
    """The session was idle for longer than its timeout."""


class SessionEnded(GatewayError):
    """The session was ended, by its caller or by a failure."""


class AppMismatch(GatewayError):
    """The session belongs to another app. `bound` and `requested` are (app, version) pairs."""

    bound: tuple[str, str]
    requested: tuple[str, str]


class VersionMismatch(GatewayError):
    """The session belongs to another version. `bound` and `requested` are (app, version) pairs."""

    bound: tuple[str, str]
    requested: tuple[str, str]


class AppNotFound(GatewayError):
    """No app of this name is deployed."""


class VersionNotFound(GatewayError):
    """The app has no such version."""


class FunctionNotFound(GatewayError):
    """The app version has no such function."""


class WorkerNotFound(GatewayError):
    """The worker asked for does not exist, or is not the session's."""

    @classmethod
    def of(cls, worker_id: str) -> "WorkerNotFound":
        return cls(f"there is no worker {worker_id} to be had for this call", metadata={"workerId": worker_id})


class WorkerLeased(GatewayError):
    """The worker asked for, or on record, is leased to another session."""

    @classmethod
    def of(cls, worker_id: str) -> "WorkerLeased":
        return cls(f"worker {worker_id} is leased to another session", metadata={"workerId": worker_id})


class WorkerLost(GatewayError):
    """The worker process died while the call was in flight."""


class NoWorkerAvailable(GatewayError):
    """No worker became free in time."""


class SessionBusy(GatewayError):
    """The session's queue is full, or the call's turn did not come in time."""


class RequestIdReused(GatewayError):
    """The request_id belongs to a request with another content."""

    @classmethod
    def of(cls, request_id: str) -> "RequestIdReused":
        return cls(
            f"request_id {request_id} was used for another request",
            metadata={"requestId": request_id},
            run_state=RunState.NOT_STARTED,
        )


class CallCountMismatch(GatewayError):
    """The session has had another number of calls than the caller expected."""


class CallInterrupted(GatewayError):
    """The gateway was stopped while the call ran; the worker goes on with it."""


class CallTimedOut(GatewayError):
    """The call took longer than its app allows."""


class QuotaExceeded(GatewayError):
    """A limit of this caller is reached."""


class AppError(GatewayError):
    """The app's code raised, or returned what cannot be sent."""


class AppStartFailed(GatewayError):
    """The app's import, constructor or setup() failed."""


class Unauthenticated(GatewayError):
    """Credentials are missing or not valid."""


class PermissionDenied(GatewayError):
    """The caller may not do this."""


class GatewayDraining(GatewayError):
    """The gateway is shutting down."""


class StoreUnavailable(GatewayError):
    """The records of sessions cannot be read or written at the moment."""


class InternalError(GatewayError):
    """What nobody foresaw. `error_id` finds the log entry with its `__cause__`, which never leaves the gateway."""

    def __init__(self, run_state: RunState | None = None) -> None:
        self.error_id = f"err_{secrets.token_hex(8)}"
        super().__init__(f"internal error {self.error_id}", metadata={"errorId": self.error_id}, run_state=run_state)
