"""The store's contract. Each sentence below is a test in `gateway.testing.store_suite`.

The store is the single truth about sessions. Each operation is one atomic step: whatever else happens at the same
moment, also in another process, happens wholly before or wholly after it. Times are arguments, never the store's own.

A session is *due* when it is active, its deadline is not after now, and no call holds it. A call holds its session
from `admit` to `finish`, but no longer than the `hold_until` that the gateway which serves it last gave: a gateway
that crashed never leaves a session that cannot expire.

The end of a call that moves the window by little may be put on record a moment after `finish` has returned. Every
operation of the same store sees it at once. Whoever else reads the records may for that moment see the call in flight,
and, when the process dies in it, for good; but nobody, then or later, may find a session due before the end of a window
that was returned.

A call may be put on record after `admit` has returned, but before anything that comes with a later turn of the event
loop, as any answer to its caller does; a store that others write to as well does it before. If that fails, the store
has the call nevertheless, and raises the failure from the next operation that would admit another one.

Every operation on an open store may raise StoreFailure, and has then changed nothing; a StoreFailure never stands for
something else, such as an id that is taken. What was on record before is there again when `recover` has returned, but
for what the failure has destroyed.

An operation that is cancelled has either changed nothing, or returns and meets the cancellation at its next await. The
end of a call is put on record whoever is cancelled, once it has been asked for.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from gateway.clock import Instant
from gateway.errors import WorkerExit
from gateway.model import EndReason, Session, SessionStatus


class StoreUnusable(Exception):
    """The store cannot be opened; the text says why and what to do."""


class StoreProblem(enum.Enum):
    """Why a store fails, by what can be done about it."""

    BUSY = "somebody else has locked it"
    FULL = "there is no room left to write"
    READ_ONLY = "it cannot be written"
    IO = "it cannot be reached, or its files cannot be read or written"
    DAMAGED = "what is in it makes no sense"
    GONE = "what was in it, or its files, have been deleted or replaced"
    FENCED = "another gateway has taken over the sessions of this one"


class StoreFailure(Exception):
    """The store cannot do what it was asked for, and has changed nothing."""

    def __init__(self, problem: StoreProblem, what: str) -> None:
        """`what` is for the log, in the words of whatever is behind the store."""
        super().__init__(f"{problem.value} ({what})")
        self.problem = problem
        self.what = what


class InvalidCursor(Exception):
    """A page was asked for with a cursor that this store never gave."""


class EventsForgotten(Exception):
    """Events behind this cursor have been forgotten: they cannot be told without a gap."""


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions a page shows. None means any."""

    owner: str | None = None
    status: SessionStatus | None = None
    app: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some sessions, the newest first, and the cursor of the page after it ("" when there is none)."""

    sessions: Sequence[Session]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A session that began or finished, as it was right after that, and the cursor behind this event."""

    session: Session
    cursor: str


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events in the order in which they happened, and the cursor behind all that was looked at for them."""

    events: Sequence[StoredEvent]
    cursor: str


class SessionStore(ABC):
    """Remembers sessions and, for a while, how they ended.

    A method that takes the id of a session that is not there returns None and changes nothing. Who calls `open` calls
    `close`. Sessions that are returned are snapshots. Methods return at once or fail: none waits for a lock.
    """

    @abstractmethod
    async def open(self) -> None:
        """Make the store ready. What was in it when it was closed, or left without a close, is still there.

        Raises StoreUnusable.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of files and connections. Closing twice is fine."""

    @abstractmethod
    async def create(self, session: Session, hold_until: float = 0.0, at_most: int | None = None) -> bool:
        """Add a session, with the calls that it has in flight held. Returns False, and changes nothing, when its owner
        has `at_most` active ones already, whichever gateway they are of. Raises ValueError when the id is taken, and
        then changes nothing either.
        """

    @abstractmethod
    async def get(self, session_id: str, owner: str | None = None) -> Session | None:
        """Return the session as it is. Never extends its life, and never notices that it is due.

        With an `owner` that of another one is as if it were not there: nothing is done for it that would not be done
        for an id that never was.
        """

    @abstractmethod
    async def admit(self, session_id: str, now: Instant, hold_until: float) -> Session | None:
        """Admit a call, or expire the session.

        Active and not due: the call is counted and held, the window slides to now plus the session's timeout. Due: the
        session expires. Finished: nothing changes. The status of what is returned tells which.

        Calls are admitted in the order in which they ask, and return in it.
        """

    @abstractmethod
    async def finish(self, session_id: str, now: Instant, *, started: bool) -> Session | None:
        """End a call that was admitted. The window slides to now plus the timeout, unless the session has finished or
        the window reaches further already.

        A call that was not `started` is taken back from the count of calls, but not in a finished session: that one
        never changes, but for the calls in flight.
        """

    @abstractmethod
    async def adopt(
        self,
        session_id: str,
        *,
        in_flight: int,
        call_count: int | None,
        hold_until: float,
        active_at: Instant | None = None,
    ) -> Session | None:
        """Set right what a gateway that died left of an active session: the calls that are really in flight, held until
        then, and how many there were in all (None: as it is on record). The window slides to `active_at` plus the
        timeout, if that is later than it is. Finished sessions stay as they are.
        """

    @abstractmethod
    async def hold(self, session_ids: Iterable[str], hold_until: float) -> None:
        """Prolong the hold of the calls in flight of these sessions. Ids without calls in flight are passed over."""

    @abstractmethod
    async def renew(self, session_id: str, now: Instant) -> Session | None:
        """Slide the window without a call. Due and finished sessions as in `admit`."""

    @abstractmethod
    async def end(
        self,
        session_id: str,
        reason: EndReason,
        now: Instant,
        worker_exit: WorkerExit | None = None,
        *,
        running: int | None = None,
    ) -> Session | None:
        """End an active session for this reason. A finished one stays as it is, with its own reason.

        With `running` only so many of its calls in flight have been started: the others are taken back from its count.
        """

    @abstractmethod
    async def expire_if_due(self, session_id: str, now: Instant) -> Session | None:
        """Expire the session if it is due. The status of what is returned tells."""

    @abstractmethod
    async def expire_due(self, session_ids: Sequence[str], now: Instant) -> Sequence[Session]:
        """Expire those of these sessions that are due, all in one step. Returns every one that is on record, in any
        order; the status tells which have expired.
        """

    @abstractmethod
    async def renew_many(self, session_ids: Collection[str], owner: str, now: Instant) -> Collection[str]:
        """Slide the windows of those of these sessions that are this owner's, active and not due, all in one step.

        Returns their ids. The others stay as they are.
        """

    @abstractmethod
    async def due(self, now: Instant, limit: int) -> Sequence[str]:
        """Return the ids of at most `limit` sessions that are due, the longest overdue first. Changes nothing."""

    @abstractmethod
    async def page(self, filter: SessionFilter, limit: int, cursor: str = "") -> Page:
        """Return the next `limit` sessions that pass the filter, the newest first.

        A walk from cursor to cursor shows each session that passed the filter throughout exactly once, whatever is
        added, changed or purged meanwhile; sessions created after its first page do not show up in it.
        Raises InvalidCursor.
        """

    @abstractmethod
    async def count_active(self, owner: str, at_most: int) -> int:
        """Return how many active sessions an owner has, or `at_most` if it has more. One that is due counts."""

    @abstractmethod
    async def purge(self, ended_before: float) -> int:
        """Forget sessions that finished before this wall-clock time. Returns how many. Active ones always stay."""

    @abstractmethod
    async def position(self) -> str:
        """Return the cursor behind every event so far."""

    @abstractmethod
    async def events(self, filter: SessionFilter, after: str, limit: int) -> EventPage:
        """Return the next `limit` events behind a cursor, of sessions that passed the filter right after the event.

        Each creation, end and expiry is one event, which is there as soon as the change is, and stays as it was. A walk
        from cursor to cursor shows each once, in the order in which they happened, whatever happens meanwhile. Fewer
        than `limit` means that there are no more at the moment. A cursor stays good when the store is opened again.
        Raises InvalidCursor for one that this store never gave, and EventsForgotten for one that is too old.
        """

    @abstractmethod
    async def forget_events(self, happened_before: float) -> int:
        """Forget events from before this wall-clock time, the oldest first and no further than to one that is younger.

        A cursor with none of them behind it stays good, any other is refused from then on. Returns how many records
        went; that of the newest may stay.
        """

    @abstractmethod
    async def restore(self, sessions: Sequence[Session], hold_until: float) -> None:
        """Put sessions on record as they are given, whatever the record says of them, all or none. Calls that they
        have in flight are held. Called by the gateway that holds the sessions, after a failure.
        """

    @abstractmethod
    async def inspect(self) -> None:
        """Raise StoreFailure for what no operation would notice at once: files that are gone, replaced or cut short.
        Cheap, and changes nothing.
        """

    @abstractmethod
    async def recover(self, failure: StoreFailure) -> None:
        """Bring the store back after a failure, and prove it with a write. No other operation runs meanwhile.

        What can no longer be used is set aside, never deleted, and what can be read of it is taken over. On a store
        that is well nothing changes. Raises StoreFailure while the store cannot be brought back.
        """
