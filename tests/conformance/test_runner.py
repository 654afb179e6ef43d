"""The runner sees what an executor does wrong, and is not held up by it."""

import asyncio
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.observe import descendants
from tools.conformance import report
from tools.conformance.__main__ import Runner
from tools.conformance.gateways import Gateways
from tools.conformance.languages import Language
from tools.conformance.report import Outcome
from tools.conformance.scenarios import load

WRONG = Path(__file__).with_name("wrong_executor.py")
SCENARIOS = {scenario.name: scenario for scenario in load()}


def wrong(folder: Path, fault: str, answer_deadline: float = 20.0) -> Language:
    """Return a language whose executor has the fault."""
    executor = folder / "python" / "conformance"
    executor.parent.mkdir()
    executor.write_text(f"#!/bin/sh\n{shlex.join([sys.executable, str(WRONG), fault])}\n")
    executor.chmod(0o755)
    return Language("python", folder, answer_deadline)


class KeptGateways(Gateways):
    """Gateways that several runners use, one after another."""

    async def close(self) -> None:
        """Leave them running: the next runner takes them."""

    def stop(self) -> None:
        """Stop them for good."""
        asyncio.run(super().close())


KEPT = KeptGateways()


@pytest.fixture(scope="module", autouse=True)
def _kept_gateways() -> Iterator[None]:
    yield
    KEPT.stop()


async def outcomes(
    language: Language, *names: str, insist: bool = True, reasons: dict[tuple[str, str], str] | None = None
) -> list[Outcome]:
    """Play the scenarios."""
    scenarios = [SCENARIOS[name] for name in names]
    runner = Runner(scenarios, reasons or {}, insist=insist, make_gateways=lambda: KEPT)
    return (await runner.run([language]))["python"]


@pytest.mark.parametrize(
    ("fault", "scenario", "why"),
    [
        ("rounds integers", "exact-integers", "9007199254740992"),
        ("calls everything unknown", "unknown-app", 'run_state is "unknown"'),
        ("forgets a field", "plain-call", "ok has no session"),
        ("answers twice", "call-ids-differ", "which was not asked or is answered"),
        ("chatters", "plain-call", "what is no answer"),
        ("dies", "plain-call", "it has ended with 3"),
        ("ends badly", "end-of-input", "ended with 1, not 0"),
    ],
)
async def test_a_wrong_executor_fails_the_scenario_and_the_runner_says_why(
    tmp_path: Path, fault: str, scenario: str, why: str
) -> None:
    (outcome,) = await outcomes(wrong(tmp_path, fault), scenario)
    assert outcome.kind == report.FAILED
    assert why in outcome.why


async def test_an_executor_that_hangs_is_killed_and_the_next_scenario_has_a_fresh_one(tmp_path: Path) -> None:
    hung, next_one = await outcomes(wrong(tmp_path, "never answers runs", 8.0), "named-function", "unknown-app")
    assert hung.kind == report.FAILED
    assert "no answer within 8 s" in hung.why
    assert next_one.kind == report.PASSED


async def test_nothing_that_the_runner_has_started_is_left(tmp_path: Path) -> None:
    before = descendants(os.getpid())
    scenarios = [SCENARIOS["plain-call"], SCENARIOS["session-outlives-a-kill"]]
    found = await Runner(scenarios, {}, insist=True).run([wrong(tmp_path, "none")])
    assert [outcome.kind for outcome in found["python"]] == [report.PASSED, report.PASSED]
    assert descendants(os.getpid()) == before


async def test_a_failure_that_is_expected_passes_and_one_that_does_not_come_is_a_failure(tmp_path: Path) -> None:
    reasons = {("python", "exact-integers"): "rounds", ("python", "plain-call"): "no reason"}
    expected, unexpected = await outcomes(
        wrong(tmp_path, "rounds integers"), "exact-integers", "plain-call", reasons=reasons
    )
    assert (expected.kind, expected.is_bad) == (report.EXPECTED, False)
    assert (unexpected.kind, unexpected.is_bad) == (report.UNEXPECTED, True)


@pytest.mark.parametrize("insist", [True, False])
async def test_a_language_that_is_not_built_is_left_out_unless_it_must_be_there(tmp_path: Path, insist: bool) -> None:
    (outcome,) = await outcomes(Language("python", tmp_path), "plain-call", insist=insist)
    assert outcome.is_bad is insist


async def test_an_executor_that_cannot_start_counts_as_not_built(tmp_path: Path) -> None:
    executor = tmp_path / "python" / "conformance"
    executor.parent.mkdir()
    executor.write_text("#!/bin/sh\necho 'run build first' >&2\nexit 1\n")
    executor.chmod(0o755)
    (outcome,) = await outcomes(Language("python", tmp_path), "plain-call", insist=False)
    assert outcome.kind == report.ABSENT


def test_the_page_shows_what_came_of_each_scenario_in_each_language() -> None:
    scenarios = [SCENARIOS["plain-call"], SCENARIOS["exact-integers"]]
    found = {
        "python": [Outcome(report.PASSED), Outcome(report.FAILED, "why")],
        "go": [Outcome(report.EXPECTED, "the reason"), Outcome(report.ABSENT)],
    }
    page = report.page(scenarios, found)
    assert f"| {scenarios[0].says} | ✓ | (✗) |" in page
    assert f"| {scenarios[1].says} | ✗ | – |" in page
    assert "- Go, plain-call: the reason" in page
    assert page == report.page(scenarios, found)
