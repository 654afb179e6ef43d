"""The commands that people and CI type."""

import re
import subprocess

from tools.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def targets_for_people() -> set[str]:
    """Return the names under .PHONY, but for the one that only other rules ask for."""
    declared = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert declared
    return set(declared[1].replace("\\\n", " ").split()) - {"moved"}


def test_make_without_a_target_lists_every_target() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert targets_for_people() == set(re.findall(r"^  ([a-z-]+)  +\S", shown, re.MULTILINE))


def test_make_check_runs_every_check() -> None:
    checks = re.search(r"^check: (.*?) ##", MAKEFILE, re.MULTILINE)
    assert checks
    assert set(checks[1].split()) == {target for target in targets_for_people() if target.startswith("check-")}


def test_ci_runs_the_checks_the_tests_and_then_the_clients() -> None:
    grpcio = "test TRANSPORT=grpcio PYTEST_ARGS=tests/scenarios"
    redis = "test STORE=redis PYTEST_ARGS=tests/scenarios"
    clients = ["clients", "compare-clients", "conformance JOBS=2", "conformance-oldest"]
    steps = ["check", "test", grpcio, redis, "test-ray", "bench-test", "demo-cluster", *clients, "audit", "sbom"]
    assert re.findall(r"^make (.*)$", CI, re.MULTILINE) == steps
