"""What becomes of what cannot be measured, and of the processes that are measured."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import context
from bench.figure import Figure, LeftOut, Series, figure
from bench.load import LoadGenerator, Plan, Slot, WrongAnswers
from bench.report import Results
from bench.run import GROUPS, measure
from bench.servers import yardstick
from bench.yardsticks.etcd import etcd

SERVER = """
import json, sys
print("a line of a library")
print("listening on 127.0.0.1:1", flush=True)
for line in sys.stdin:
    print(json.dumps({"twice": 2 * json.loads(line)}), flush=True)
"""


def a_figure(_: context.Bench) -> Iterator[Figure | Series]:
    yield figure("new_median", [1.0])


def half_a_group(_: context.Bench) -> Iterator[Figure | Series]:
    yield figure("new_p99", [1.0])
    raise LeftOut("there is no etcd")


def wrong(_: context.Bench) -> Iterator[Figure | Series]:
    yield from ()
    raise WrongAnswers("3 of them")


def test_what_cannot_be_measured_does_not_keep_the_rest_from_being_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = Results("part", "", {}, {}, {})
    bench = context.Bench(context.quick(), LoadGenerator(Path("none")))
    groups = {"wrong": (wrong, True), "half": (half_a_group, True), "whole": (a_figure, True)}
    measure(bench, list(groups), results, groups)
    assert [one.name for one in results.figures] == ["new_p99", "new_median"]
    assert results.left_out == {"half": "there is no etcd"}
    assert results.failed == {"wrong": "WrongAnswers: 3 of them"}
    assert "3 of them" in capsys.readouterr().err


def test_a_quick_run_has_fewer_groups_and_rounds_than_a_full_one() -> None:
    assert {name for name, (_, in_quick) in GROUPS.items() if in_quick} < GROUPS.keys()
    assert context.quick().rounds < context.full().rounds


def test_a_full_run_can_be_told_how_long_to_soak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_SOAK_SECONDS", "600")
    assert context.full().soak_seconds == 600.0


def test_without_etcd_the_streams_are_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LeftOut, match="no etcd on PATH"), etcd():
        pass


def test_a_yardstick_answers_what_it_is_asked_and_is_gone_at_the_end() -> None:
    with yardstick([sys.executable, "-c", SERVER]) as server:
        assert server.address == "127.0.0.1:1"
        assert server.ask(21) == {"twice": 42}
        assert server.process.poll() is None
    assert server.process.returncode == 0


def test_a_yardstick_that_does_not_listen_is_named_with_what_it_wrote() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no port is free')"]
    with pytest.raises(RuntimeError, match="no port is free"), yardstick(command):
        pass


@pytest.mark.parametrize("ends_with", ["0", "1"])
def test_the_load_generator_gets_the_plan_and_its_verdict_counts(tmp_path: Path, ends_with: str) -> None:
    program = tmp_path / "load"
    report = '{"answers": 1, "errors": {}, "seconds": 1.0, "rate": 1.0, "latency_ms": {}}'
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/plan\necho '{report}'\nexit {ends_with}\n")
    program.chmod(0o700)
    plan = Plan("127.0.0.1:1", [Slot(b"a", b"b")], requests=1)
    generator = LoadGenerator(program).launched_by(("env", "PLANNED=1"))
    if ends_with == "0":
        assert generator.run(plan).answers == 1
    else:
        with pytest.raises(WrongAnswers):
            generator.run(plan)
    assert '"requests": 1' in (tmp_path / "plan").read_text()
    assert "PLANNED" not in os.environ
