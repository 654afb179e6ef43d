"""Dashboard and alert rules ask for what there is, and docs/operations.md tells of all of it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from gateway.exposition.families import FAMILIES, PROCESS_LABEL, Family
from tools.paths import ROOT

RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
RULE_TESTS = ROOT / "deploy" / "prometheus" / "alerts_test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "session-gateway.json"

SCRAPE_LABELS = {"job", "instance", "le"}
"""Labels that Prometheus adds, or that histograms have."""

SELECTED = re.compile(r"\b((?:sgw|process)_[a-z_]+)\b(?:\{([^}]*)\})?")


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each expression of the rules and of the dashboard, with where it stands."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def rules() -> list[dict[str, Any]]:
    """Return all alert rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def family_of(name: str) -> Family | None:
    """Return the metric that has samples of this name."""
    if name in FAMILIES and FAMILIES[name].kind != "histogram":
        return FAMILIES[name]
    base = FAMILIES.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return base if base is not None and base.kind == "histogram" and base.name != name else None


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_names_metrics_and_labels_that_there_are(where: str, expression: str) -> None:
    found = SELECTED.findall(expression)
    assert found, where
    known = {PROCESS_LABEL, *SCRAPE_LABELS}
    for name, selector in found:
        family = family_of(name)
        assert family is not None, name
        known |= set(family.labels)
        assert set(re.findall(r"(\w+)\s*(?:=|!=)~?", selector)) <= {*family.labels, *SCRAPE_LABELS}
    for labels in re.findall(r"\bby \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", labels)) <= known


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    asked = {
        family.name
        for _, expression in expressions()
        for name, _ in SELECTED.findall(expression)
        if (family := family_of(name))
    }
    assert set(FAMILIES) - asked <= {"sgw_build_info", "process_start_time_seconds"}


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 10
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_every_rule_has_a_test_in_which_it_fires() -> None:
    tested = {
        each["alertname"]
        for test in yaml.safe_load(RULE_TESTS.read_text())["tests"]
        for each in test["alert_rule_test"]
        if each.get("exp_alerts")
    }
    assert tested == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("command", [("check", "rules", RULES.name), ("test", "rules", RULE_TESTS.name)])
def test_promtool_finds_the_rules_right(command: tuple[str, ...]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("there is no promtool (Debian: prometheus)")
    run = subprocess.run(["promtool", *command], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_dashboard_can_be_imported_anywhere() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["uid"] == "session-gateway"
    sources = {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel}
    assert sources == {"${datasource}"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_the_page_on_operation_has_a_row_for_every_metric() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = dict(re.findall(r"^\| `((?:sgw|process)_\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == {family.name: row(family) for family in FAMILIES.values()}


def row(family: Family) -> str:
    """Return what a row says behind the name."""
    return f"{family.kind} | {', '.join(f'`{label}`' for label in family.labels)} | {family.help}"
