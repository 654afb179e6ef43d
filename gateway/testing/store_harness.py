"""What the tests of a session store work with: moments, sessions, and walks over pages."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.clock import Instant
from gateway.model import AppRef, Session, new_session_id
from gateway.stores.base import SessionFilter, SessionStore

Reopen = Callable[[], Awaitable[SessionStore]]

TIMEOUT = 60
START = 1_000.0
WALL = 1_700_000_000.0
ABSENT = "sess_absent"
ANY = SessionFilter()


def at(elapsed: float) -> Instant:
    """Return the moment so many seconds after the start."""
    return Instant(START + elapsed, WALL + elapsed)


def a_session(**changes: object) -> Session:
    """Return an active session that begins at the start, with a fresh id and no call in flight."""
    session = Session(
        id=new_session_id(),
        owner="owner",
        app=AppRef("kv", "1"),
        worker_id="wrk_1",
        epoch=1,
        timeout=TIMEOUT,
        created_at=WALL,
        expires_at=WALL + TIMEOUT,
        deadline=START + TIMEOUT,
    )
    return replace(session, **changes)  # type: ignore[arg-type]


async def added(store: SessionStore, hold_until: float = 0.0, **changes: object) -> Session:
    """Create a session in the store and return it."""
    session = a_session(**changes)
    await store.create(session, hold_until)
    return session


async def walk(store: SessionStore, filter: SessionFilter, limit: int) -> list[str]:
    """Return the ids on all pages, in order."""
    found, cursor = [], ""
    while True:
        page = await store.page(filter, limit, cursor)
        found += [session.id for session in page.sessions]
        if not page.next_cursor:
            return found
        cursor = page.next_cursor
