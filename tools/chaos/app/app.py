"""The app under chaos: remembers every token that it was given, in memory, in a file, and in a ledger outside."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput, Result


class AddInput(BaseAppInput):
    """What to remember, where else to write it, and how long to take."""

    token: str
    ledger: str
    seconds: float = 0.0


class AddOutput(BaseAppOutput):
    """All that was ever remembered."""

    in_memory: list[str]
    in_file: list[str]
    pid: int


STEPS = 20


class WalkStep(BaseAppOutput):
    """One of the steps."""

    step: int
    padding: str


class App(BaseApp):
    """Adds, and tells everything."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.file = Path("tokens")
        self.file.touch()

    async def add(self, input: AddInput) -> AddOutput:
        """Remember a token."""
        self.tokens.append(input.token)
        _note(self.file, input.token)
        _note(Path(input.ledger), input.token)
        await asyncio.sleep(input.seconds)
        return AddOutput(in_memory=self.tokens, in_file=self.file.read_text().split(), pid=os.getpid())

    async def walk(self, input: AddInput) -> AsyncIterator[WalkStep | Result[AddOutput]]:
        """Remember a token, a step at a time."""
        for step in range(STEPS):
            yield WalkStep(step=step, padding="." * 4096)
            await asyncio.sleep(input.seconds / STEPS)
        yield Result(await self.add(input))

    async def echo(self, input: AddInput) -> AddInput:
        """Return the input, once it is in the ledger."""
        _note(Path(input.ledger), input.token)
        await asyncio.sleep(input.seconds)
        return input


def _note(path: Path, token: str) -> None:
    # One write, appended: a whole line, whoever else writes, and still there when this process is killed.
    with path.open("ab", buffering=0) as file:
        file.write(f"{token}\n".encode())
