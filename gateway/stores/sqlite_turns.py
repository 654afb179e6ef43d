"""One transaction for all operations of one kind that come in one turn of the event loop.

With many callers at once, a turn admits many calls. Each transaction costs its locks and a write to the log, whatever
is in it, so those of one turn share one. An operation that comes alone does not wait for others: it runs at once.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

from gateway.stores.sqlite_database import BEGIN

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Waiting(NamedTuple):
    operation: Callable[..., object]
    args: tuple[object, ...]
    outcome: asyncio.Future[Any]


class SharedTransactions:
    """Runs operations on a connection, in the order in which they come.

    A transaction that fails, fails for all who share it, and has changed nothing for any of them. What an operation
    raises beside an error of the database is its own.
    """

    def __init__(self, commit: Callable[..., Any]) -> None:
        """`commit(work, *args)` returns what `work(connection, *args)` returns, and has committed it then."""
        self._commit = commit
        self.waiting: list[_Waiting] | None = None
        """None while nobody has to be waited for: an operation that ran must not be overtaken on its way back."""
        self._alone = True
        """The last turn that had any operation had a single one."""
        self._ran = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, operation: Callable[[sqlite3.Connection, *Ts], T], *args: *Ts) -> T:
        """Return what `operation(connection, *args)` returns, once that is on record."""
        if self.waiting is None:
            self.waiting = []
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._end_turn)
            if self._alone:
                self._ran = 1
                answer: T = self._commit(operation, *args)
                return answer
        assert self._loop is not None
        outcome: asyncio.Future[T] = self._loop.create_future()
        self.waiting.append(_Waiting(operation, args, outcome))
        try:
            return await outcome
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if outcome.cancelled() or task is None:
                raise  # before it was run: it will not be
            # It has happened, and whoever asked must know. The cancellation strikes at its next await instead, as if it
            # had come a moment later.
            task.uncancel()
            task.cancel()
            return outcome.result()

    def _end_turn(self) -> None:
        arrived, self.waiting = self.waiting or [], None
        operations, self._ran = self._ran + len(arrived), 0
        if operations:
            self._alone = operations == 1
        if not arrived:
            return
        waiting = [one for one in arrived if not one.outcome.done()]
        outcomes: list[tuple[object, Exception | None]]
        try:
            outcomes = self._commit(_outcomes, waiting)
        except Exception as failure:  # noqa: BLE001  # whatever it is, all who wait hear of it
            outcomes = [(None, failure)] * len(waiting)
        for one, (value, error) in zip(waiting, outcomes, strict=True):
            if error is None:
                one.outcome.set_result(value)
            else:
                one.outcome.set_exception(error)
        # Behind those who have just been answered: whoever comes before that waits for the next transaction.
        self.waiting = []
        assert self._loop is not None
        self._loop.call_soon(self._end_turn)


def _outcomes(db: sqlite3.Connection, waiting: list[_Waiting]) -> list[tuple[object, Exception | None]]:
    db.execute(BEGIN)
    return [_outcome(db, one) for one in waiting]


def _outcome(db: sqlite3.Connection, one: _Waiting) -> tuple[object, Exception | None]:
    try:
        return one.operation(db, *one.args), None
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001  # of this one alone
        return None, error
