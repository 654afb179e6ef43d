"""What the tests of gateway processes share."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.testing.gate import Gate, listening_gate


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """A gate at which functions of the app `probe` can be held. Its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sgw") as directory:
        async with listening_gate(Path(directory) / "gate") as gate:
            yield gate


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory whose path leaves room for the workers' sockets. It is found by the directory's own name."""
    with tempfile.TemporaryDirectory(prefix="sgw") as directory:
        yield Path(directory) / "data"
