"""One round trip for all operations that come while another one is on its way.

Operations wait for their turn in the order in which they come; a turn runs them in that order, in one run of the script
and so in one atomic step, with the ends of earlier calls of their sessions before them. As one run at a time is on its
way, there is at most one of which it may be unknown whether it has happened.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterable
from typing import Any

from gateway.stores.base import StoreFailure, StoreProblem
from gateway.stores.redis_calls import Ends, KnownSessions
from gateway.stores.redis_clock import ServerTime
from gateway.stores.redis_connection import Connection, Word
from gateway.stores.redis_errors import ReplyError, failure_of
from gateway.stores.redis_script import DIGEST, LOOK, TEXT
from gateway.timing import STORE_END_SLIDE

AT_ONCE = 256
"""Operations of one run: some two milliseconds in which Redis does nothing else."""


class _Operation:
    """One operation that waits for its turn or its answer."""

    __slots__ = ("answer", "args", "changes", "ends_of", "name", "outcome", "sent")

    def __init__(
        self,
        name: bytes,
        args: tuple[Word, ...],
        changes: Collection[str] | bool | None,
        ends_of: Collection[str] | None,
        outcome: "asyncio.Future[Any]",
    ) -> None:
        self.name = name
        self.args = args
        self.changes = changes
        self.ends_of = ends_of
        self.outcome = outcome
        self.sent = False
        self.answer: tuple[Any, StoreFailure | None] | None = None

    def answered(self, value: Any, failure: StoreFailure | None = None) -> None:
        """Tell whoever waits, also one who is just being cancelled and comes for it a moment later."""
        self.answer = value, failure
        if self.outcome.done():
            return
        if failure is None:
            self.outcome.set_result(value)
        else:
            self.outcome.set_exception(failure)


class Turns:
    """Runs operations of the script over a connection.

    A run that fails, fails for all who share it, and has changed nothing for any of them, once `settled` is called: no
    operation runs before that after a failure that leaves it unknown.
    """

    def __init__(self, prefix: str, retention: int, known: KnownSessions, time: ServerTime) -> None:
        """`retention`: seconds for which what is over is kept."""
        self.writer = secrets.token_hex(8)
        """What the store is known by in Redis."""
        self.generation = ""
        self.acknowledged = 0
        """The number of the last run that has changed something and was answered."""
        self.failure: StoreFailure | None = None
        """Why nothing runs until it is settled."""
        self._prefix, self._retention = prefix, retention
        self._known, self._time = known, time
        self._connection: Connection | None = None
        self._waiting: list[_Operation] = []
        self._on_the_way = False
        self._scheduled = False
        self._write_all = False
        self._idle: asyncio.Future[None] | None = None

    @property
    def open(self) -> bool:
        """Whether there is a connection, be it good or not."""
        return self._connection is not None

    def settled(self, connection: Connection, generation: str) -> None:
        """Use this connection; the writer is known to Redis under this generation, and nothing of it is unknown."""
        self._connection, self.generation = connection, generation
        self.acknowledged, self.failure = 0, None

    def begin_anew(self) -> None:
        """Be another writer, of no generation until it is settled: this one was told that it is none any more."""
        self.writer, self.generation, self.acknowledged = secrets.token_hex(8), "", 0

    async def run(
        self,
        name: bytes,
        *args: Word,
        changes: Collection[str] | bool | None = False,
        ends_of: Collection[str] | None = (),
        surely: bool = False,
    ) -> Any:
        """Return what the operation returns.

        `changes` are the ids of the sessions that it may change, None for any, True for none but something else, False
        for nothing at all. Of the sessions `ends_of`, None for all, ends of calls are written before it.
        Raises StoreFailure. One that is cancelled before its turn does not run, unless it is to be done `surely`. Later
        it returns, and the cancellation strikes at the caller's next await, as if it had come a moment later.
        """
        if self._connection is None:
            raise RuntimeError("the store is not open")
        if self.failure is not None:
            raise StoreFailure(self.failure.problem, self.failure.what)
        loop = asyncio.get_running_loop()
        operation = _Operation(name, args, changes, ends_of, loop.create_future())
        operation.sent = surely
        self._waiting.append(operation)
        if not isinstance(changes, bool):
            self._known.begin(changes)
        self._schedule()
        try:
            return await operation.outcome
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not operation.sent or task is None:
                raise
            return await _outlast(task, operation)
        finally:
            if not isinstance(changes, bool):
                self._known.done(changes)

    def write_ends(self) -> None:
        """Put all ends of calls on record."""
        self._write_all = True
        self._schedule()

    async def quiet(self) -> bool:
        """Wait until nothing is on its way. Returns whether anything was."""
        found = self._on_the_way or self._scheduled
        while self._on_the_way or self._scheduled:
            self._idle = self._idle or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)
        return found

    async def alone(self, name: bytes, *args: Word) -> Any:
        """Run one operation of the writer itself on a connection that nobody else uses. Raises StoreFailure."""
        assert self._connection is not None
        return await self.said(self._connection, self.generation, name, *args)

    async def said(self, connection: Connection, generation: str, name: bytes, *args: Word) -> Any:
        """The same on a connection, and under a generation, that are not in use yet."""
        command = self._command(generation, "0", [name, len(args), *args])
        try:
            try:
                (reply,) = await connection.send("EVALSHA", DIGEST, *command)
            except ReplyError as error:
                if error.code != "NOSCRIPT":
                    raise
                (reply,) = await connection.send("EVAL", TEXT, *command)
        except Exception as error:
            raise failure_of(error) from error
        return reply

    def fail(self, failure: StoreFailure) -> None:
        """Run nothing more until it is settled."""
        self.failure = self.failure or failure
        waiting, self._waiting = self._waiting, []
        _refuse(waiting, failure)

    def close(self) -> None:
        """Run nothing any more."""
        self._connection = None

    def _schedule(self) -> None:
        if not self._scheduled and not self._on_the_way:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Send what waits. Called when nothing is on its way, behind those who have just been answered."""
        self._scheduled = False
        batch = [operation for operation in self._waiting[:AT_ONCE] if operation.sent or not operation.outcome.done()]
        del self._waiting[:AT_ONCE]
        if self.failure is not None or not (batch or (self._write_all and self._known.unwritten)):
            self._write_all = False
            _refuse(batch, self.failure)
            self._rest()
            return
        words: list[Word] = []
        taken: dict[str, Ends] = {}
        if self._write_all:
            self._write_all = False
            self._take(list(self._known.unwritten), taken, words)
        answers_from = len(taken)
        places = []
        for operation in batch:
            operation.sent = True
            if operation.ends_of is None or operation.ends_of:
                ids = list(self._known.unwritten) if operation.ends_of is None else operation.ends_of
                answers_from += self._take(ids, taken, words)
            places.append(answers_from)
            answers_from += 1
            words += (operation.name, len(operation.args), *operation.args)
        changing = bool(taken) or any(operation.changes is not False for operation in batch)
        number = self.acknowledged + 1 if changing else -self.acknowledged
        self._send(_Run(batch, places, taken, number, self._command(self.generation, str(number), words)), "EVALSHA")

    def _take(self, session_ids: Iterable[str], taken: dict[str, Ends], words: list[Word]) -> int:
        found = self._known.take(session_ids)
        offset = self._time.offset
        for session_id, ends in found.items():
            words += (b"ends", 4, session_id.encode(), ends.at.monotonic + offset, ends.at.wall, ends.calls)
            taken[session_id] = ends
        return len(found)

    def _command(self, generation: str, number: str, words: list[Word]) -> list[Word]:
        mark = secrets.token_hex(8)
        return [
            *(1, self._prefix, self.writer, generation, number, mark, self._retention, STORE_END_SLIDE, LOOK),
            *words,
        ]

    def _send(self, run: "_Run", how: str) -> None:
        assert self._connection is not None
        self._on_the_way = True
        reply = self._connection.send(how, DIGEST if how == "EVALSHA" else TEXT, *run.command)
        reply.add_done_callback(lambda reply: self._answered(run, reply))

    def _answered(self, run: "_Run", reply: "asyncio.Future[Any]") -> None:
        self._on_the_way = False
        error = asyncio.CancelledError() if reply.cancelled() else reply.exception()
        if error is None:
            self._succeeded(run, reply.result())
        elif isinstance(error, ReplyError) and error.code == "NOSCRIPT":
            self._send(run, "EVAL")
            return
        else:
            self._failed(run, error)
        if self._waiting or self._write_all:
            self._schedule()
        else:
            self._rest()

    def _succeeded(self, run: "_Run", replies: list[Any]) -> None:
        if run.number > 0:
            self.acknowledged = run.number
        if run.taken:
            self._known.written(run.taken)
        for operation, place in zip(run.operations, run.places, strict=True):
            operation.answered(replies[place])

    def _failed(self, run: "_Run", error: BaseException) -> None:
        failure = failure_of(error if isinstance(error, Exception) else ConnectionError("given up"))
        self._known.put_back(run.taken)
        _refuse(run.operations, failure)
        if failure.problem is not StoreProblem.BUSY:
            self.fail(failure)

    def _rest(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        self._idle = None


class _Run:
    """Operations on their way: where in the reply the answer of each is, and the ends of calls among them."""

    __slots__ = ("command", "number", "operations", "places", "taken")

    def __init__(
        self,
        operations: list[_Operation],
        places: list[int],
        taken: dict[str, Ends],
        number: int,
        command: list[Word],
    ) -> None:
        self.operations = operations
        self.places = places
        self.taken = taken
        self.number = number
        self.command = command


async def _outlast(task: "asyncio.Task[Any]", operation: _Operation) -> Any:
    """Wait for the answer to an operation that has been sent, whoever cancels the task, and cancel it then."""
    try:
        while True:
            task.uncancel()
            if operation.answer is not None:
                value, failure = operation.answer
                if failure is not None:
                    raise failure
                return value
            operation.outcome = asyncio.get_running_loop().create_future()
            try:
                return await operation.outcome
            except asyncio.CancelledError:
                continue
    finally:
        task.cancel()


def _refuse(operations: Iterable[_Operation], failure: StoreFailure | None) -> None:
    for operation in operations:
        error = failure or StoreFailure(StoreProblem.IO, "the store is closed")
        operation.answered(None, StoreFailure(error.problem, error.what))
