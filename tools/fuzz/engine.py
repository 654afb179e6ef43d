"""Plays a target: so many inputs, none of which may crash it, hang it, or have it tell too much."""

import logging
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.strategies import SearchStrategy

LONGEST = 5.0
"""Seconds that one input may take, however busy the machine is."""

_BATCH = 5000
_INSIDE = re.compile(r'Traceback \(most recent|File "[^"]+", line \d|<[\w.]+ object at 0x|site-packages')


class Hang(BaseException):
    """An input has taken too long. No Exception, so that no parser takes it for one of its own."""


class Leak(Exception):
    """Something that is told shows the inside of the program."""


class Logged(Exception):
    """The parser has logged what it calls an error of its own."""


@dataclass(frozen=True)
class Target:
    """A parser, what it is fed with, and how. `feed` deals with the errors that the parser may raise."""

    name: str
    inputs: SearchStrategy[Any]
    feed: Callable[[Any], None]


@dataclass
class Tally:
    """What came of it."""

    inputs: int = 0
    crashes: int = 0
    hangs: int = 0
    leaks: int = 0
    remarks: list[str] = field(default_factory=list)


def no_leak(text: str) -> None:
    """Raise Leak for a text that is not for callers."""
    if found := _INSIDE.search(text):
        raise Leak(f"{found[0]!r} in {text[:200]!r}")


class _Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def play(target: Target, count: int, first_seed: int) -> Tally:
    """Feed a target. It is stopped at the first input that it does not stand."""
    tally, errors = Tally(), _Errors()
    root = logging.getLogger()
    root.addHandler(errors)
    try:
        while tally.inputs < count:
            _play_batch(target, min(_BATCH, count - tally.inputs), first_seed + tally.inputs, tally, errors)
            if tally.remarks:
                break
    finally:
        root.removeHandler(errors)
    return tally


def _play_batch(target: Target, count: int, number: int, tally: Tally, errors: _Errors) -> None:
    last: list[Any] = [None]

    def feed(value: Any) -> None:
        tally.inputs += 1
        last[0] = value
        errors.records.clear()
        with _limited(LONGEST):
            target.feed(value)
        if errors.records:
            raise Logged(errors.records[0].getMessage()) from (errors.records[0].exc_info or (None, None))[1]

    test = settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )(seed(number)(given(target.inputs)(feed)))
    try:
        test()
    except (Exception, Hang) as error:  # noqa: BLE001  # whatever it is, it is what this looks for
        kind = "hangs" if isinstance(error, Hang) else "leaks" if isinstance(error, Leak) else "crashes"
        setattr(tally, kind, getattr(tally, kind) + 1)
        cause = f" <- {error.__cause__!r}" if error.__cause__ else ""
        tally.remarks.append(f"{kind}, seed {number}: {error!r}{cause}, with {str(last[0])[:2000]}")


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def over(_: int, frame: FrameType | None) -> None:
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "nowhere"
        raise Hang(f"more than {seconds:g} s, at {where}")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
