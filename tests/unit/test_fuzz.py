"""The fuzzer finds what it looks for."""

import logging
import time
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from tools.fuzz import engine
from tools.fuzz.__main__ import rows_of
from tools.fuzz.engine import Target, no_leak, play


def crash(value: int) -> None:
    if value > 100:
        raise RuntimeError(value)


def hang(value: int) -> None:
    while value > 100:
        time.sleep(1)


def leak(value: int) -> None:
    if value > 100:
        no_leak(f"{object()}")


def complain(value: int) -> None:
    if value > 100:
        logging.getLogger("a.parser").error("it went wrong")


@pytest.mark.parametrize(
    ("feed", "kind"), [(crash, "crashes"), (hang, "hangs"), (leak, "leaks"), (complain, "crashes")]
)
def test_what_an_input_does_is_found_and_told(
    feed: Callable[[int], None], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LONGEST", 0.2)
    tally = play(Target("t", st.integers(0, 10_000), feed), 1000, 1)
    assert {name: getattr(tally, name) for name in ("crashes", "hangs", "leaks")} == {
        **dict.fromkeys(("crashes", "hangs", "leaks"), 0),
        kind: 1,
    }
    assert len(tally.remarks) == 1
    assert [row["ok"] for row in rows_of("t", tally, 1000)].count(False) == 2


def test_as_many_inputs_are_fed_as_were_asked_for() -> None:
    seen: list[bytes] = []
    tally = play(Target("t", st.binary(), seen.append), 700, 1)
    assert tally.inputs == len(seen) >= 700
    assert all(row["ok"] for row in rows_of("t", tally, 700))


def test_the_same_seed_makes_the_same_inputs() -> None:
    drawn: list[list[bytes]] = [[], []]
    for seen in drawn:
        play(Target("t", st.binary(), seen.append), 100, 7)
    assert drawn[0] == drawn[1]
