"""Streams that are open, and that end when their caller would not be let in any more."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from gateway.errors import GatewayError


class OpenStreams:
    """All streams of one process."""

    def __init__(self) -> None:
        self._open: set[OpenStream] = set()

    def one(self, is_good: Callable[[], bool], refusal: Callable[[], GatewayError]) -> "OpenStream":
        """Return the context of a stream, which is among the open ones for as long as its block runs."""
        return OpenStream(self._open, is_good, refusal)

    def look(self) -> None:
        """End those that are good no more."""
        for stream in [stream for stream in self._open if not stream.is_good()]:
            stream.end()


class OpenStream:
    """A block in which a stream's answers are sent. When the stream is ended, the block raises the refusal."""

    def __init__(
        self, among: "set[OpenStream]", is_good: Callable[[], bool], refusal: Callable[[], GatewayError]
    ) -> None:
        self.is_good = is_good
        self._among = among
        self._refusal = refusal
        self._task: asyncio.Task[object] | None = None
        self._cancels = 0
        self._ended = False

    def end(self) -> None:
        """Have the block left, whatever it waits for."""
        self._among.discard(self)
        if self._task is not None:
            self._ended = True
            self._task.cancel()

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._cancels = 0 if self._task is None else self._task.cancelling()
        self._among.add(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._among.discard(self)
        # As asyncio.timeout has it: a cancel of ours is taken back, and one of somebody else remains one.
        if self._ended and self._task is not None and self._task.uncancel() <= self._cancels:
            raise self._refusal() from None
