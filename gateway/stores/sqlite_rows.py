"""A session as a row of the table of sessions, and back."""

from typing import Any

from gateway.errors import WorkerExit
from gateway.model import AppRef, EndReason, Session, SessionStatus

COLUMNS = (
    "id, owner, app, version, worker_id, epoch, timeout, created_at, expires_at, deadline, status, end_reason, "
    "exit_code, exit_signal, last_call_at, ended_at, call_count, in_flight"
)

_STATUSES = {status.value: status for status in SessionStatus}
_REASONS = {reason.value: reason for reason in EndReason}
_LOST = EndReason.WORKER_LOST.value


def values_of(session: Session) -> tuple[object, ...]:
    """Return the values of COLUMNS."""
    exit_ = session.worker_exit or WorkerExit()
    return (
        session.id,
        session.owner,
        session.app.name,
        session.app.version,
        session.worker_id,
        session.epoch,
        session.timeout,
        session.created_at,
        session.expires_at,
        session.deadline,
        session.status.value,
        session.end_reason.value if session.end_reason else None,
        exit_.exit_code,
        exit_.signal,
        session.last_call_at,
        session.ended_at,
        session.call_count,
        session.in_flight,
    )


def session_of(row: Any) -> Session:
    """Return the session whose COLUMNS have these values."""
    code, signal = row[12], row[13]
    return Session(
        id=row[0],
        owner=row[1],
        app=AppRef(row[2], row[3]),
        worker_id=row[4],
        epoch=row[5],
        timeout=row[6],
        created_at=row[7],
        expires_at=row[8],
        deadline=row[9],
        status=_STATUSES[row[10]],
        end_reason=_REASONS[row[11]] if row[11] else None,
        worker_exit=WorkerExit(code, signal) if row[11] == _LOST else None,
        last_call_at=row[14],
        ended_at=row[15],
        call_count=row[16],
        in_flight=row[17],
    )
