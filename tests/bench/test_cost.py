"""A call costs no more than it did."""

import subprocess
import sys

import pytest

from tools.paths import ROOT

BUDGET = 227
"""Function calls for each Run (bench/cost.py). Whoever saves some lowers it; a rise needs a reason in its commit."""
TOLERANCE = 0.03
COUNTED_ON = (3, 11)
"""Other versions of Python call other functions for the same code."""


@pytest.mark.skipif(sys.version_info[:2] != COUNTED_ON, reason="the budget was counted on Python 3.11")
def test_a_call_costs_no_more_than_it_did() -> None:
    command = [sys.executable, "-m", "bench.cost"]
    each = float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=50).stdout)
    assert BUDGET * (1 - TOLERANCE) <= each <= BUDGET * (1 + TOLERANCE), f"{each:.1f} function calls for each Run"
