"""How long an answer takes does not tell whether a session exists."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model import new_session_id
from gateway.testing.process import GatewayProcess
from tests.scenarios.client import Client, connected, failure
from tests.scenarios.conftest import PROBE

_PAIRS = 150
_ROUNDS = 8
"""So many at most: what differs by itself differs in each, what the machine does meanwhile does not."""
_ALIKE = 0.1
"""Part of the time within which two are the same."""


@pytest.fixture
def gateway(data_dir: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(data_dir, {"probe": PROBE}) as process:
        yield process


@pytest.mark.parametrize("method", ["get", "keepalive", "end"])
async def test_an_id_of_somebody_else_takes_as_long_as_one_that_never_was(gateway: GatewayProcess, method: str) -> None:
    async with connected(gateway.address, "somebody") as owner, connected(gateway.address, "stranger") as stranger:
        foreign = (await owner.new()).id
        differences = []
        for _ in range(_ROUNDS):
            differences.append(await difference(stranger, method, foreign))
            if abs(differences[-1]) < _ALIKE:
                return
    pytest.fail(f"an id that exists takes longer, or shorter, by these parts of the time: {differences}")


async def difference(client: Client, method: str, foreign: str) -> float:
    """Return by how much the answer for a foreign id takes longer than for an unknown one, as a part of that."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * _PAIRS):
        # One after the other in turn, so that both meet the same machine.
        exists = number % 2 == 0
        session_id = foreign if exists else new_session_id()
        began = time.perf_counter()
        error = await failure(getattr(client, method)(session_id))
        took[exists].append(time.perf_counter() - began)
        assert error.code == "SESSION_NOT_FOUND"
    unknown = statistics.median(took[False])
    return (statistics.median(took[True]) - unknown) / unknown
