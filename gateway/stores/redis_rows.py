"""A session as the values that the scripts of the Redis store take and return, and back."""

from typing import Any

from gateway.errors import WorkerExit
from gateway.model import AppRef, EndReason, Session, SessionStatus
from gateway.stores.base import InvalidCursor, SessionFilter
from gateway.stores.moved import moved
from gateway.stores.redis_connection import Word

_STATUSES = {status.value.encode(): status for status in SessionStatus}
_REASONS = {reason.value.encode(): reason for reason in EndReason}
_MAX_CURSOR = 15
"""Digits that a score of a sorted set holds exactly."""

_LOST = EndReason.WORKER_LOST.value.encode()


def text(value: str) -> bytes:
    """Return the bytes of a text. Raises UnicodeEncodeError for one that has none."""
    return value.encode()


def or_nothing(value: float | None) -> Word:
    """Return a number as it is stored."""
    return b"" if value is None else value


def values_of(session: Session, offset: float) -> list[Word]:
    """Return the values that a script takes. `offset` is between the gateway's monotonic clock and the server's.

    Raises an exception for a session that is none.
    """
    exit_ = session.worker_exit or WorkerExit()
    return [
        text(session.id),
        text(session.owner),
        text(session.app.name),
        text(session.app.version),
        text(session.worker_id),
        session.epoch,
        session.timeout,
        session.created_at,
        session.expires_at,
        session.deadline + offset,
        text(session.status.value),
        text(session.end_reason.value) if session.end_reason else b"",
        or_nothing(exit_.exit_code),
        or_nothing(exit_.signal),
        or_nothing(session.last_call_at),
        or_nothing(session.ended_at),
        session.call_count,
        session.in_flight,
    ]


def session_of(row: Any, offset: float) -> Session:
    """Return the session of the values that a script returns."""
    reason = row[11]
    return Session(
        id=row[0].decode(),
        owner=row[1].decode(),
        app=AppRef(row[2].decode(), row[3].decode()),
        worker_id=row[4].decode(),
        epoch=int(row[5]),
        timeout=int(row[6]),
        created_at=float(row[7]),
        expires_at=float(row[8]),
        deadline=float(row[9]) - offset,
        status=_STATUSES[row[10]],
        end_reason=_REASONS[reason] if reason else None,
        worker_exit=WorkerExit(_number(row[12]), _number(row[13])) if reason == _LOST else None,
        last_call_at=float(row[14]) if row[14] else None,
        ended_at=float(row[15]) if row[15] else None,
        call_count=int(row[16]),
        in_flight=int(row[17]),
    )


def as_answered(was: Session, row: Any, offset: float) -> Session:
    """Return an active session of which a script returns only what calls and keepalives change."""
    until = float(row[0]) - offset, float(row[1])
    return moved(was, until, int(row[4]), float(row[2]) if row[2] else None, int(row[3]))


def _number(value: bytes) -> int | None:
    return int(value) if value else None


def words_of(filter: SessionFilter) -> tuple[Word, ...]:
    """Return the values of a filter, empty for any."""
    status = filter.status.value if filter.status else ""
    return tuple(text(value or "") for value in (filter.owner, status, filter.app, filter.version))


def position_of(cursor: str) -> bytes:
    """Return the place in the order of creation that a cursor names. Raises InvalidCursor."""
    if not cursor:
        return b""
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= _MAX_CURSOR):
        raise InvalidCursor(cursor)
    return cursor.encode()
