"""docs/threat-model.md names, for each threat, tests that there are."""

import ast
import re
from functools import cache

import pytest

from tools.paths import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
_HEADING = ["Threat", "What meets it", "Shown by"]


def rows() -> list[list[str]]:
    """Return the cells of each row of a table of threats."""
    found, inside = [], False
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        inside = line.startswith("|") and (inside or cells == _HEADING)
        if inside and cells != _HEADING and not set(line) <= set("|-"):
            found.append(cells)
    return found


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of the tests in a file, or none if there is no such file."""
    if not (ROOT / path).is_file():
        return frozenset()
    nodes = ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def exists(test: str) -> bool:
    """Return whether there is a test, given as `path::name`."""
    path, _, name = test.partition("::")
    return name.startswith("test_") and name in names_in(path)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_threat_has_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == len(_HEADING)
    named = re.findall(r"`([^`]+)`", row[2])
    assert named
    assert [test for test in named if not exists(test)] == []


def test_there_are_threats_across_every_boundary() -> None:
    sections = re.findall(r"^## (.*)\n\n\| Threat \|", PAGE, re.MULTILINE)
    assert len(sections) == 7
    assert len(rows()) > 40


@pytest.mark.parametrize("port", ["cluster.listen", "metrics port", "worker on Ray", "Redis"])
def test_what_is_reached_over_a_network_is_a_boundary(port: str) -> None:
    boundaries = PAGE.partition("| Boundary |")[2].partition("\n\n")[0]
    assert port in boundaries


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert exists("tests/repository/test_threat_model.py::test_a_test_that_is_not_there_is_noticed")
    assert not exists("tests/repository/test_threat_model.py::test_no_such")
    assert not exists("tests/repository/test_no_such.py::test_no_such")
    assert not exists("tests/repository/test_threat_model.py::exists")
