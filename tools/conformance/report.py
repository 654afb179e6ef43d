"""What came of the scenarios, for people: the matrix, and the page docs/conformance.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from textwrap import indent

import yaml

from tools.conformance.languages import Language
from tools.conformance.scenarios import FOLDER, Scenario, ScenarioError

PASSED, FAILED, EXPECTED, UNEXPECTED, ABSENT = (
    "passed",
    "failed",
    "expected failure",
    "passes unexpectedly",
    "not built",
)
_MARKS = {PASSED: "✓", FAILED: "✗", EXPECTED: "(✗)", UNEXPECTED: "!", ABSENT: "–"}

_MARGIN = " " * 6

TITLES = {
    "python": "Python",
    "typescript": "TypeScript",
    "go": "Go",
    "java": "Java",
    "rust": "Rust",
    "cpp": "C++",
    "ruby": "Ruby",
}

_PAGE = """\
# Conformance

Which client does what the contract says. Written by `make conformance`, which plays the scenarios of
`clients/conformance/scenarios/` with the client of each language against live gateways; how that works stands in
[clients/conformance](../clients/conformance/README.md).

✓ passed · ✗ failed · (✗) fails, for a reason that is known · ! passes, although it was expected to fail · – not built

"""


@dataclass(frozen=True)
class Outcome:
    """What came of one scenario in one language."""

    kind: str
    why: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether somebody must do something about it."""
        return self.kind in (FAILED, UNEXPECTED)


def expected_failures(
    scenarios: Sequence[Scenario], languages: Sequence[str], path: Path = FOLDER / "expected_failures.yaml"
) -> dict[tuple[str, str], str]:
    """Return the reasons by language and scenario. Raises ScenarioError for an entry that means nothing."""
    found: dict[tuple[str, str], str] = {}
    names = {scenario.name for scenario in scenarios}
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or ():
        key = (entry.get("language"), entry.get("scenario"))
        if key[0] not in languages or key[1] not in names or not str(entry.get("reason") or "").strip():
            raise ScenarioError(f"{path.name}: an entry needs a language, a scenario and a reason: {entry}")
        found[key] = " ".join(entry["reason"].split())
    return found


def judged(problem: str | None, reason: str | None) -> Outcome:
    """Return the outcome of a scenario with the problem that it had, and the reason for which one was expected."""
    if reason is None:
        return Outcome(PASSED) if problem is None else Outcome(FAILED, problem)
    if problem is None:
        return Outcome(UNEXPECTED, f"it was expected to fail ({reason}): take it out of expected_failures.yaml")
    return Outcome(EXPECTED, reason)


def line(language: str, scenario: Scenario, outcome: Outcome) -> str:
    """Return what is printed as soon as a scenario is over."""
    why = outcome.why and f"\n{indent(outcome.why, _MARGIN)}"
    return f"{_MARKS[outcome.kind]:>3} {language:<11}{scenario.name}{why}"


def absent(language: Language, problem: str) -> str:
    """Return what is printed of a language that has no executor."""
    return f"{_MARKS[ABSENT]:>3} {language.name} is not built: {language.advice}\n{indent(problem, _MARGIN)}"


def summary(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Return one line for each language with its counts."""
    lines = []
    for language, found in outcomes.items():
        counts = [(kind, sum(outcome.kind == kind for outcome in found)) for kind in _MARKS]
        lines.append(f"{language:<11}" + ", ".join(f"{count} {kind}" for kind, count in counts if count))
    return "\n".join(lines)


def matrix(scenarios: Sequence[Scenario], outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Return a table for terminals: a row for each scenario, a column for each language."""
    width = max(len(scenario.name) for scenario in scenarios)
    rows = [" " * width + "  " + " ".join(f"{language:<10}" for language in outcomes)]
    for position, scenario in enumerate(scenarios):
        marks = " ".join(f"{_MARKS[found[position].kind]:<10}" for found in outcomes.values())
        rows.append(f"{scenario.name:<{width}}  {marks}".rstrip())
    return "\n".join(rows)


def page(scenarios: Sequence[Scenario], outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Return docs/conformance.md. The same outcomes give the same page."""
    text = [_PAGE.rstrip("\n")]
    columns = [TITLES[language] for language in outcomes]
    numbered = list(enumerate(scenarios))
    for theme, entries in groupby(numbered, key=lambda entry: entry[1].theme):
        title = theme.partition("-")[2].replace("-", " ")
        text += ["", f"## {title.capitalize()}", ""]
        text.append(f"| Scenario | {' | '.join(columns)} |")
        text.append(f"|---|{'---|' * len(columns)}")
        for position, scenario in entries:
            marks = " | ".join(_MARKS[found[position].kind] for found in outcomes.values())
            text.append(f"| {scenario.says} | {marks} |")
    text += _reasons(scenarios, outcomes)
    return "\n".join(text) + "\n"


def _reasons(scenarios: Sequence[Scenario], outcomes: Mapping[str, Sequence[Outcome]]) -> list[str]:
    known = [
        f"- {TITLES[language]}, {scenario.name}: {found[position].why}"
        for language, found in outcomes.items()
        for position, scenario in enumerate(scenarios)
        if found[position].kind == EXPECTED
    ]
    return ["", "## Known failures", "", *known] if known else []
