"""Partial outputs of one call, on their way from the worker to whoever reads them."""

import asyncio
from collections import deque
from collections.abc import Callable


class Partials:
    """A queue with one writer, the worker's connection, and one reader, who iterates.

    The writer learns what was read, and that nobody reads any more, by the callbacks that it gives to `attach`.
    """

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._unread: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._finished = False
        self._closed = False
        self._on_read: Callable[[bytes], object] | None = None
        self._on_gone: Callable[[], object] | None = None

    @property
    def closed(self) -> bool:
        """Whether nobody reads any more."""
        return self._closed

    def attach(self, on_read: Callable[[bytes], object], on_gone: Callable[[], object]) -> None:
        """Say whom to tell what was read, and that nobody reads any more."""
        self._on_read, self._on_gone = on_read, on_gone

    def put(self, output: bytes) -> None:
        """Add an output; it is dropped when nobody reads any more."""
        if not self._closed:
            self._unread.append(output)
            self._changed.set()

    def finish(self) -> None:
        """No more will come: the iteration ends when all is read."""
        self._finished = True
        self._changed.set()

    def close(self) -> None:
        """Nobody reads any more. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._unread.clear()
        self.finish()
        if self._on_gone is not None:
            self._on_gone()

    def __aiter__(self) -> "Partials":
        return self

    async def __anext__(self) -> bytes:
        while not self._unread:
            if self._finished:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        output = self._unread.popleft()
        if self._on_read is not None:
            self._on_read(output)
        return output
