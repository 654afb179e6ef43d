"""What a session is: its fields, its states, and the only transitions there are."""

import enum
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.errors import WorkerExit

DEFAULT_SESSION_TIMEOUT = 60
"""Seconds of idle time, when the caller names none (contract, "Run")."""

MIN_SESSION_TIMEOUT = 1
MAX_SESSION_TIMEOUT = 3600

SESSION_ID_PREFIX = "sess_"

_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8
"""For each byte one of 32 letters, so that random bytes make random letters of 5 bits."""

_ID_LENGTH = 26
"""26 letters of 5 bits are 130 random bits; the contract asks for 128."""

SESSION_ID_LENGTH = len(SESSION_ID_PREFIX) + _ID_LENGTH
"""What is behind that in the id of a session is its shard (`gateway.shards`)."""

WORKER_ID_PREFIX = "wrk_"

_WORKER_ID_LENGTH = 16
"""80 random bits: unique for all practical purposes."""

WORKER_ID_LENGTH = len(WORKER_ID_PREFIX) + _WORKER_ID_LENGTH
"""Behind that, too, there may be a shard: that of the gateway which has made the worker."""


class SessionStatus(enum.Enum):
    """Where a session stands."""

    ACTIVE = "active"
    ENDED = "ended"
    EXPIRED = "expired"


class EndReason(enum.Enum):
    """Why a session is no longer active."""

    CALLER = "caller"
    IDLE_TIMEOUT = "idle_timeout"
    WORKER_LOST = "worker_lost"
    FIRST_CALL_FAILED = "first_call_failed"
    GATEWAY_RESTARTED = "gateway_restarted"
    MAX_LIFETIME = "max_lifetime"
    CALL_TIMED_OUT = "call_timed_out"
    MEMORY_LIMIT = "memory_limit"
    PROCESS_LIMIT = "process_limit"
    DISK_LIMIT = "disk_limit"


TRANSITIONS: dict[tuple[SessionStatus, EndReason], SessionStatus] = {
    (SessionStatus.ACTIVE, EndReason.CALLER): SessionStatus.ENDED,
    (SessionStatus.ACTIVE, EndReason.IDLE_TIMEOUT): SessionStatus.EXPIRED,
    (SessionStatus.ACTIVE, EndReason.WORKER_LOST): SessionStatus.ENDED,
    (SessionStatus.ACTIVE, EndReason.FIRST_CALL_FAILED): SessionStatus.ENDED,
    (SessionStatus.ACTIVE, EndReason.GATEWAY_RESTARTED): SessionStatus.ENDED,
    (SessionStatus.ACTIVE, EndReason.MAX_LIFETIME): SessionStatus.ENDED,
    (SessionStatus.ACTIVE, EndReason.CALL_TIMED_OUT): SessionStatus.ENDED,
    (SessionStatus.ACTIVE, EndReason.MEMORY_LIMIT): SessionStatus.ENDED,
    (SessionStatus.ACTIVE, EndReason.PROCESS_LIMIT): SessionStatus.ENDED,
    (SessionStatus.ACTIVE, EndReason.DISK_LIMIT): SessionStatus.ENDED,
}
"""State and event to the next state. What is not here does not happen: a finished session stays as it is."""


@dataclass(frozen=True, slots=True)
class AppRef:
    """One version of an app."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Session:
    """A snapshot of one session. Wall-clock times are seconds since the epoch; `deadline` is monotonic."""

    id: str
    owner: str
    app: AppRef
    worker_id: str
    epoch: int
    """Fencing number of the lease: a worker refuses a call that carries another."""
    timeout: int
    created_at: float
    expires_at: float
    deadline: float
    """When it expires on the monotonic clock, unless a call is in flight."""
    status: SessionStatus = SessionStatus.ACTIVE
    end_reason: EndReason | None = None
    worker_exit: WorkerExit | None = None
    last_call_at: float | None = None
    ended_at: float | None = None
    call_count: int = 0
    in_flight: int = 0
    """Calls that run or wait."""

    def expires_in(self, monotonic: float) -> float:
        """Return the seconds left at this moment, 0.0 for a finished session or one that only a call holds."""
        if self.status is not SessionStatus.ACTIVE:
            return 0.0
        return max(0.0, self.deadline - monotonic)


def _random_id(prefix: str, length: int) -> str:
    return prefix + secrets.token_bytes(length).translate(_LETTERS).decode()


def new_session_id() -> str:
    """Return an id that nobody can guess: the id of a session is not a secret, but must not be enumerable."""
    return _random_id(SESSION_ID_PREFIX, _ID_LENGTH)


def new_worker_id() -> str:
    """Return an id for a worker process."""
    return _random_id(WORKER_ID_PREFIX, _WORKER_ID_LENGTH)


_CALL_ID_LENGTH = 16
_call_ids: list[str] = []
"""Made in advance: asking the system for random bytes costs more than all the rest of an id."""

os.register_at_fork(after_in_child=_call_ids.clear)


def new_call_id() -> str:
    """Return an id that finds one call in the log (80 random bits)."""
    if not _call_ids:
        letters = secrets.token_bytes(_CALL_ID_LENGTH * 256).translate(_LETTERS).decode()
        _call_ids.extend(
            "call_" + letters[start : start + _CALL_ID_LENGTH] for start in range(0, len(letters), _CALL_ID_LENGTH)
        )
    return _call_ids.pop()


@dataclass(frozen=True, slots=True)
class Limits:
    """What the sessions of an app may take. None means no limit."""

    memory: int | None = None
    """Bytes: of one process by itself, and of a worker and what it has started together."""
    open_files: int | None = None
    """Open files of one process."""
    processes: int | None = None
    """Processes that a worker has started, at a time."""
    disk: int | None = None
    """Bytes in the worker's working and temporary directories together."""
    call: float | None = None
    """Seconds that a call may take."""
    max_lifetime: float | None = None
    """Seconds from the creation of a session to its end."""


LIMIT_REASONS: dict[str, EndReason] = {
    "memory": EndReason.MEMORY_LIMIT,
    "processes": EndReason.PROCESS_LIMIT,
    "disk": EndReason.DISK_LIMIT,
    "call": EndReason.CALL_TIMED_OUT,
}
"""The limits for which a worker is killed, and why its session has then ended."""


Profile = Literal["process", "user", "sandbox"]

PROFILES: tuple[Profile, ...] = ("process", "user", "sandbox")
"""How workers are kept to themselves, each more than the one before (docs/security.md, "Profiles")."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What Ray is to see to for each worker of an app. Only the pool of Ray knows of it."""

    cpus: float = 0
    """Processors that it takes of those that a machine says it has: a figure for the scheduler, which limits nothing.
    None by default, for a session is idle most of its time."""
    gpus: float = 0
    memory: int = 0
    """Bytes that it takes of the memory that a machine says it has; 0 for none."""
    resources: dict[str, float] = field(default_factory=dict)
    """Others that machines say they have, by name."""
    pip: list[str] = field(default_factory=list)
    """Packages that the app needs beside those of the machine, as pip names them."""
    env: dict[str, str] = field(default_factory=dict)
    """Variables of the app's environment."""
    upload: bool = False
    """Whether the app's directory is brought to the machine, rather than found there under the same path."""


@dataclass(frozen=True, slots=True)
class AppVersion:
    """One version of an app as it is deployed: where its code is, and what its `app.toml` says."""

    ref: AppRef
    directory: Path
    default_function: str = ""
    """The function of a call that names none; "" means `run`."""
    interpreter: str = ""
    """Path of the Python that runs the app; "" means the gateway's own."""
    start_method: Literal["fork", "spawn"] = "fork"
    concurrency: int = 1
    """Calls of one worker that run at a time."""
    min_idle: int | None = None
    """Workers kept ready; None means the gateway's setting."""
    limits: Limits = Limits()
    isolation: Profile | None = None
    """What the app asks for; None means whatever the gateway's setting is."""
    ray: Placement = field(default_factory=Placement, hash=False)


@dataclass(frozen=True, slots=True)
class FunctionDescription:
    """One function of an app. The schemas are JSON text (JSON Schema 2020-12)."""

    name: str
    description: str
    input_schema: str
    output_schema: str
    streams: bool = False
    """It is a generator."""
    partial_schema: str = ""
    """Of what it yields."""
