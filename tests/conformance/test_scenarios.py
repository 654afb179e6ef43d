"""The scenarios cover the contract, and their pages say what there is."""

import json
import re
from pathlib import Path

import pytest

from sessiongateway.v1 import errors_pb2
from tools.conformance.matching import MATCHERS
from tools.conformance.report import expected_failures
from tools.conformance.scenarios import ACTIONS, FOLDER, OPERATIONS, ScenarioError, load
from tools.conformance.values import GENERATORS
from tools.paths import ROOT

SCENARIOS = load()
TEXT = json.dumps([scenario.steps for scenario in SCENARIOS])
README = re.sub(r"^```.*?^```$", "", (FOLDER / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
ENOUGH = 60


def test_there_are_many_scenarios_and_each_says_what_it_is_about() -> None:
    assert len(SCENARIOS) >= ENOUGH
    assert [scenario.name for scenario in SCENARIOS if not re.fullmatch(r"[A-Z].*\.", scenario.says)] == []


def test_every_operation_and_every_action_is_used() -> None:
    used = set(re.findall(r'"(\w+)": ', TEXT))
    assert used >= OPERATIONS | ACTIONS


def test_every_error_code_is_expected_somewhere() -> None:
    codes = {name.removeprefix("ERROR_CODE_") for name, number in errors_pb2.ErrorCode.items() if number}
    assert {code for code in codes if f'"{code}"' not in TEXT} == set()


def test_the_readme_has_every_operation_action_matcher_and_generator() -> None:
    named = set(re.findall(r"\$?\w+", " ".join(re.findall(r"`([^`]+)`", README))))
    assert OPERATIONS | ACTIONS | set(MATCHERS) | set(GENERATORS) <= named


def test_the_page_has_a_row_for_each_scenario() -> None:
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*?\.) \|", page, re.MULTILINE)
    assert rows == [scenario.says for scenario in SCENARIOS], "run: make conformance"


@pytest.mark.parametrize(
    "entry",
    [
        "{name: x, says: X., steps: [{dance: {}}]}",
        "{name: x, says: X., steps: [{run: {}, get: {}}]}",
        "{name: x, says: X., steps: [{run: {}, okay: {}}]}",
        "{name: x, says: X., steps: [], gateways: {}}",
        "{name: x, says: X., steps: [], gateway: {setting: {}}}",
        "{name: x, says: X., steps: [{each: [1], as: n, steps: [{dance: {}}]}]}",
    ],
)
def test_a_scenario_that_no_runner_understands_is_refused(tmp_path: Path, entry: str) -> None:
    (tmp_path / "10-x.yaml").write_text(f"[{entry}]", encoding="utf-8")
    with pytest.raises(ScenarioError, match="x: "):
        load(tmp_path)


def test_two_scenarios_of_one_name_are_refused(tmp_path: Path) -> None:
    entry = "{name: x, says: X., steps: []}"
    (tmp_path / "10-x.yaml").write_text(f"[{entry}, {entry}]", encoding="utf-8")
    with pytest.raises(ScenarioError, match="named x"):
        load(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        "{language: cobol, scenario: plain-call, reason: r}",
        "{language: go, scenario: no-such, reason: r}",
        "{language: go, scenario: plain-call, reason: ' '}",
        "{language: go, scenario: plain-call}",
    ],
)
def test_an_expected_failure_without_a_meaning_is_refused(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "expected.yaml"
    path.write_text(f"[{entry}]", encoding="utf-8")
    with pytest.raises(ScenarioError):
        expected_failures(SCENARIOS, ["go"], path)


def test_the_expected_failures_name_scenarios_that_exist() -> None:
    assert isinstance(expected_failures(SCENARIOS, ["go", "java", "rust", "cpp", "ruby", "typescript", "python"]), dict)
