"""One executor: a program that does with a language's client what it is told, line by line."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ANSWER_DEADLINE = 30.0
"""Seconds after which an executor that owes an answer is taken for hung. No scenario waits nearly as long."""

END_DEADLINE = 15.0
"""Seconds in which it must have ended after the end of its input."""

_LINE_LIMIT = 64 * 1024 * 1024
_LOG_LINES = 40


class ExecutorError(Exception):
    """The executor has hung, died or broken the protocol. It is of no further use."""


class Executor:
    """A running executor. Made with `start`; `kill` or `end` it."""

    def __init__(self, process: asyncio.subprocess.Process, answer_deadline: float) -> None:
        self._process = process
        self.answer_deadline = answer_deadline
        """Seconds that it may take to answer."""
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._failure: str | None = None
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._readers = [asyncio.create_task(self._read_answers()), asyncio.create_task(self._read_log())]

    @classmethod
    async def start(
        cls,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        answer_deadline: float = ANSWER_DEADLINE,
    ) -> "Executor":
        """Start one. Raises ExecutorError if there is no such program."""
        try:
            process = await asyncio.create_subprocess_exec(
                *map(str, command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**_own_environment(), **(environment or {})},
                limit=_LINE_LIMIT,
                # A launcher may have started the program as a child: all of it must be gone with one kill.
                start_new_session=True,
            )
        except OSError as error:
            raise ExecutorError(f"cannot be started: {error.strerror}") from None
        return cls(process, answer_deadline)

    @property
    def usable(self) -> bool:
        """Whether it can take another command."""
        return self._failure is None and self._process.returncode is None

    @property
    def log(self) -> str:
        """The last lines of its standard error."""
        return "".join(self._log)

    async def send(self, op: str, fields: Mapping[str, Any]) -> int:
        """Begin a command and return its number. Raises ExecutorError."""
        number = next(self._numbers)
        self._pending[number] = asyncio.get_running_loop().create_future()
        await self.send_line(json.dumps({"id": number, "op": op, **fields}))
        return number

    async def send_line(self, line: str) -> None:
        """Send a line as it is. Raises ExecutorError."""
        assert self._process.stdin is not None
        try:
            async with asyncio.timeout(self.answer_deadline):
                self._process.stdin.write(line.encode() + b"\n")
                await self._process.stdin.drain()
        except (ConnectionError, RuntimeError):
            raise await self._dead() from None
        except TimeoutError:
            raise self._broken("it reads no more commands") from None

    def expect_number(self, number: int) -> None:
        """Await an answer to what `send_line` has sent."""
        self._pending[number] = asyncio.get_running_loop().create_future()

    async def answer(self, number: int) -> dict[str, Any]:
        """Wait for the answer to a command. Raises ExecutorError when none comes, and kills the executor then."""
        future = self._pending[number]
        either: set[asyncio.Future[Any]] = {future, self._readers[0]}
        await asyncio.wait(either, timeout=self.answer_deadline, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            del self._pending[number]
            return future.result()
        if self._readers[0].done():
            raise await self._dead()
        await self.kill()
        raise self._broken(f"no answer within {self.answer_deadline:g} s, so it was killed")

    async def end(self) -> int:
        """Close its input and return its exit code. Raises ExecutorError when it does not end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_DEADLINE):
                code = await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise self._broken(f"it has not ended {END_DEADLINE:g} s after its input, so it was killed") from None
        await asyncio.gather(*self._readers)
        return code

    async def kill(self) -> None:
        """End it and all that it has started, at once. May be called twice."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.gather(*self._readers)

    async def _read_answers(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._take(line)
        except ValueError:
            self._failure = "it has written a line without end"

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):
            while line := await self._process.stderr.readline():
                self._log.append(line.decode(errors="replace"))

    def _take(self, line: bytes) -> None:
        try:
            answer = json.loads(line)
            number = answer.pop("id")
        except (ValueError, KeyError, AttributeError, TypeError):
            self._failure = f"it has written what is no answer: {line[:200]!r}"
            return
        future = self._pending.get(number)
        if future is None or future.done():
            self._failure = f"it has answered {number}, which was not asked or is answered: {line[:200]!r}"
            return
        future.set_result(answer)

    def check(self) -> None:
        """Raise ExecutorError if it has written what the protocol does not have."""
        if self._failure is not None:
            raise ExecutorError(self._failure)

    def _broken(self, what: str) -> ExecutorError:
        self._failure = self._failure or what
        return ExecutorError(f"{what}\n{self.log}".rstrip())

    async def _dead(self) -> ExecutorError:
        if self._process.returncode is None:
            await self.kill()
        await asyncio.gather(*self._readers)
        return self._broken(f"it has ended with {self._process.returncode}")


def _own_environment() -> dict[str, str]:
    """Return the environment without what clients take an address or a key from."""
    return {name: value for name, value in os.environ.items() if name not in ("SGW_ADDRESS", "SGW_API_KEY")}
