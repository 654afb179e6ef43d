"""What a watch tells, for a command that has more to do than to wait for it."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import sessiongateway
from sessiongateway import SessionGatewayError, WatchEvent, WatchStream


@dataclass(frozen=True, slots=True)
class Interruption:
    """The gateway is out of reach, and looked for."""

    error: SessionGatewayError

    def __str__(self) -> str:
        return f"the gateway is lost, and looked for: {self.error.message}"


Item = WatchEvent | Interruption


class News:
    """Reads a watch on a thread of its own. A context manager: when it is entered, the watch stands."""

    def __init__(self, client: sessiongateway.Inference, app: str | None) -> None:
        """`app` as in `client.sessions.watch`."""
        self._queue: queue.SimpleQueue[Item | Exception | None] = queue.SimpleQueue()
        self.events: WatchStream = client.sessions.watch(
            app=app, show_watching=True, on_interruption=lambda error: self._queue.put(Interruption(error))
        )
        self._thread = threading.Thread(target=self._read, daemon=True)

    def wait(self, seconds: float | None = None) -> Item | None:
        """Return what is told next; None if that takes longer. Raises EOFError once the watch is closed.

        Raises:
            SessionGatewayError: The watch cannot go on.
        """
        try:
            item = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if item is None:
            raise EOFError
        if isinstance(item, Exception):
            raise item
        return item

    def __iter__(self) -> Iterator[Item]:
        with contextlib.suppress(EOFError):
            while (item := self.wait()) is not None:
                yield item

    def __enter__(self) -> Self:
        self.events.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.events.close()
        self._thread.join()

    def _read(self) -> None:
        try:
            for event in self.events:
                self._queue.put(event)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it belongs to whoever waits
            self._queue.put(error)
        else:
            self._queue.put(None)
