"""The view that is drawn again and again until somebody quits."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.live import Live

from gateway.cli.exits import Exit
from gateway.cli.top.keyboard import DOWN, HOME, PAGE_DOWN, PAGE_UP, UP, Keyboard
from gateway.cli.top.order import BY_KEY
from gateway.cli.top.picture import Look, Picture, picture
from gateway.cli.top.screen import fitted
from gateway.cli.top.source import Source
from gateway.cli.top.view import View
from sessiongateway import SessionGatewayError

_RESIZE = 0.25
"""Seconds within which a terminal that has another size is drawn anew."""

_PAGE = 10
"""Lines of a page up or down."""


class Looker:
    """Looks at the gateway on a thread of its own, so that keys do not wait. A context manager."""

    def __init__(self, source: Source, first: Look, interval: float, keyboard: Keyboard) -> None:
        """`interval` is in seconds, from one look to the next."""
        self._source = source
        self._interval = interval
        self._keyboard = keyboard
        self._look = first
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self.picture: Picture = picture(None, first)
        """As of the last look."""

    def __enter__(self) -> "Looker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _go_on(self) -> None:
        while not self._over.wait(self._interval):
            try:
                look = self._source.look()
            except SessionGatewayError as error:
                self.picture = replace(self.picture, problem=f"the gateway is lost, and looked for: {error.message}")
            except RuntimeError:
                return  # the client was closed meanwhile
            else:
                self.picture = picture(self._look, look)
                self._look = look
            self._keyboard.wake()


def show(looker: Looker, view: View, keyboard: Keyboard) -> int:
    """Draw until `q` or Ctrl-C. Returns the exit code."""
    console = Console(highlight=False, emoji=False)
    view = replace(view, keys=keyboard.there)
    try:
        with (
            _told_to_end(),
            keyboard.listening(),
            Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
        ):
            shown: object = None
            while True:
                state = (looker.picture, view, console.size)
                if state != shown:
                    shown = state
                    live.update(fitted(looker.picture, view, console.width, console.height), refresh=True)
                for key in keyboard.keys(_RESIZE):
                    if key in ("q", "Q"):
                        return Exit.OK
                    view = pressed(key, view, len(looker.picture.sessions))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def pressed(key: str, view: View, sessions: int) -> View:
    """Return the view after a key. There are so many sessions to scroll through."""
    if key in BY_KEY:
        return replace(view, order=BY_KEY[key], first=0)
    steps = {UP: -1, "k": -1, DOWN: 1, "j": 1, PAGE_UP: -_PAGE, PAGE_DOWN: _PAGE, " ": _PAGE, HOME: -view.first}
    return replace(view, first=max(0, min(view.first + steps.get(key, 0), sessions - 1)))


@contextlib.contextmanager
def _told_to_end() -> Iterator[None]:
    """Have SIGTERM and a lost terminal end the view as Ctrl-C does, which leaves the terminal as it was."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
