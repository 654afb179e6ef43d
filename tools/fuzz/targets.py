"""All parsers."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tools.fuzz import credentials, files, frames, headers, requests, wire
from tools.fuzz.engine import Target


@contextmanager
def all_targets() -> Iterator[Sequence[Target]]:
    """Yield them, on one event loop, with what they need. At the end nothing of it is left."""
    with ExitStack() as stack, asyncio.Runner() as runner:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sgw-fuzz")))
        service = runner.run(requests.Service.start(directory / "gateway"))
        try:
            yield [
                *requests.targets(service, runner),
                *frames.targets(runner),
                *wire.targets(runner),
                *headers.targets(directory / "keys"),
                *credentials.targets(),
                *files.targets(directory),
            ]
        finally:
            runner.run(service.close())
