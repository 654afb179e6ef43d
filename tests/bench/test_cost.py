"""A call costs no more than it did."""

import subprocess
import sys

import pytest

from tools.paths import ROOT

BUDGET = 241
"""Function calls for each Run (bench/cost.py). Whoever saves some lowers it; a rise needs a reason in its commit."""
WITH_METRICS = 21
"""And so many more when the calls are counted for Prometheus."""
WITH_KEYS = 1
"""And so many more when callers need keys."""
TOLERANCE = 0.03
COUNTED_ON = (3, 11)
"""Other versions of Python call other functions for the same code."""


@pytest.mark.skipif(sys.version_info[:2] != COUNTED_ON, reason="the budget was counted on Python 3.11")
@pytest.mark.parametrize(
    ("flags", "budget"), [((), BUDGET), (("--metrics",), BUDGET + WITH_METRICS), (("--keys",), BUDGET + WITH_KEYS)]
)
def test_a_call_costs_no_more_than_it_did(flags: tuple[str, ...], budget: int) -> None:
    command = [sys.executable, "-m", "bench.cost", *flags]
    each = float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=50).stdout)
    assert budget * (1 - TOLERANCE) <= each <= budget * (1 + TOLERANCE), f"{each:.1f} function calls for each Run"
