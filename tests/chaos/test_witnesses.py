"""Watches, keepalive streams, the ledger and the look at what is left: each tells of the faults that it is shown."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.workers.runtime import runtime_directory
from sessiongateway import SessionEndedError, SessionExpiredError, WatchEvent
from tests.chaos.conftest import moment, shown, told
from tools.chaos.judge import Judge
from tools.chaos.keeper import Keeper
from tools.chaos.known import Known
from tools.chaos.ledger import Ledger
from tools.chaos.leftovers import count_orphans
from tools.chaos.lines import Lines
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles
from tools.chaos.watcher import Watcher


def watched(tally: Tally, *events: str) -> Watcher:
    """Return a watch that has told this of one session."""
    watcher = Watcher("127.0.0.1:1", "chaos", tally)
    for event in events:
        watcher.take(WatchEvent(event, shown(), moment(0), "t"))
    return watcher


async def test_a_watch_that_tells_of_a_beginning_and_one_end_is_right(tally: Tally) -> None:
    await watched(tally, "created", "expired").compare([shown("expired", "idle_timeout")])
    await watched(tally, "created", "worker_lost").compare([shown("ended", "worker_lost")])
    await watched(tally, "created").compare([shown()])
    assert told(tally) == {}


@pytest.mark.parametrize(
    ("events", "status"),
    [
        (["created"], "expired"),
        (["created", "expired", "expired"], "expired"),
        (["created", "ended"], "expired"),
        (["expired", "created"], "expired"),
        (["created", "expired", "ended"], "ended"),
        (["created", "created"], "active"),
        ([], "ended"),
    ],
)
async def test_a_watch_that_tells_otherwise_than_the_record_is_wrong(
    tally: Tally, events: list[str], status: str
) -> None:
    await watched(tally, *events).compare([shown(status)], patience=0.0)
    assert "wrong_events" in told(tally)


async def test_an_event_of_a_session_that_is_not_on_record_is_wrong(tally: Tally) -> None:
    await watched(tally, "created", "ended").compare([])
    assert told(tally) == {"wrong_events": 1}


class FakeStreams:
    """Stands for the lines of a caller: at each gateway a stream, which tells of an end once the session is ended."""

    def __init__(self, *errors: Exception | None, at_once: bool = False) -> None:
        self._errors = errors
        self._ended = asyncio.Event()
        if at_once:
            self._ended.set()

    def each(self) -> list["FakeStreams"]:
        return [FakeGateway(self._ended, error) for error in self._errors]

    async def ask(self, _: object) -> None:
        self._ended.set()


class FakeGateway(FakeStreams):
    """One of them."""

    def __init__(self, ended: asyncio.Event, error: Exception | None) -> None:
        self._ended = ended
        self._error = error

    def stream_keepalive(self, _: list[str]) -> "FakeGateway":
        return self

    async def __aiter__(self) -> AsyncIterator[Any]:
        await self._ended.wait()
        if self._error is None:
            await asyncio.Event().wait()
        yield type("Event", (), {"error": self._error, "session": None})

    async def aclose(self) -> None:
        pass


@pytest.fixture
def soon(known: Known) -> Known:
    known.timeout = 0
    return known


async def kept(fake: FakeStreams, known: Known, tally: Tally, troubles: Troubles, patience: float = 10.0) -> str | None:
    return await Keeper(Judge(tally, troubles), tally, troubles, patience).keep(known, cast(Lines, fake))


async def test_streams_that_all_tell_the_end_agree(soon: Known, tally: Tally, troubles: Troubles) -> None:
    end = SessionEndedError(end_reason="caller")
    assert await kept(FakeStreams(end, end), soon, tally, troubles) == "caller"
    assert (told(tally), tally.kept) == ({}, 1)


async def test_streams_that_tell_different_ends_or_none_are_wrong(
    soon: Known, tally: Tally, troubles: Troubles
) -> None:
    end = SessionEndedError(end_reason="caller")
    await kept(FakeStreams(end, SessionExpiredError()), soon, tally, troubles)
    assert told(tally) == {"wrong_events": 1}
    await kept(FakeStreams(end, None), soon, tally, troubles, patience=0.0)
    assert told(tally) == {"wrong_events": 2}


async def test_a_session_on_a_stream_expires_only_in_trouble(known: Known, tally: Tally, troubles: Troubles) -> None:
    gone = FakeStreams(SessionExpiredError(), SessionExpiredError(), at_once=True)
    with troubles.trouble():
        pass
    known.promised = time.time()
    assert await kept(gone, known, tally, troubles) == "idle_timeout"
    assert told(tally) == {}
    known.promised = time.time() + 60
    await kept(gone, known, tally, Troubles())
    assert told(tally) == {"early_expiries": 1}


def test_the_ledger_tells_what_ran_twice_and_what_ran_unasked(tmp_path: Path, tally: Tally) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.path.write_text("a\nb\na\nc\n")
    ledger.told_not_started("b")
    ledger.told_not_started("d")
    ledger.judge(tally)
    assert told(tally) == {"run_twice": 1, "run_unasked": 1}


def test_directories_and_processes_that_are_left_are_orphans(tmp_path: Path, tally: Tally) -> None:
    count_orphans([tmp_path], tmp_path, tally)
    assert told(tally) == {}
    (runtime_directory(tmp_path) / "wrk_1").mkdir(parents=True)
    command = [sys.executable, "-c", "print(flush=True); input()", "gateway.worker", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as left:
        assert left.stdout is not None
        left.stdout.readline()
        count_orphans([tmp_path], tmp_path, tally)
        left.kill()
    assert told(tally) == {"orphans": 2}


def test_a_zygote_that_is_shared_may_go_a_moment_later(
    tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", "print(flush=True); input()", "gateway.worker", f"{tmp_path}/zyg.1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as zygote:
        assert zygote.stdout is not None
        assert zygote.stdin is not None
        zygote.stdout.readline()
        with monkeypatch.context() as patched:
            patched.setattr("tools.chaos.leftovers._PATIENCE", 0.0)
            count_orphans([], tmp_path, tally)
        assert told(tally) == {"orphans": 1}
        zygote.stdin.close()
        threading.Thread(target=zygote.wait).start()  # or it stays as one that nobody has waited for
        count_orphans([], tmp_path, tally)
    assert told(tally) == {"orphans": 1}
