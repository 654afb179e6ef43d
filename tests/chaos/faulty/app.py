"""An app like the one under chaos, with faults: it forgets what it was given first, and runs each call twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput, Result


class AddInput(BaseAppInput):
    """What to remember, where else to write it, and how long to take."""

    token: str
    ledger: str
    seconds: float = 0.0


class AddOutput(BaseAppOutput):
    """All that is not forgotten."""

    in_memory: list[str]
    in_file: list[str]


class Step(BaseAppOutput):
    """One of the steps."""

    step: int


class App(BaseApp):
    """Adds, and gets it wrong."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    async def add(self, input: AddInput) -> AddOutput:
        """Remember a token, and no more than two."""
        self.tokens = [*self.tokens[-1:], input.token]
        _note_twice(Path(input.ledger), input.token)
        await asyncio.sleep(input.seconds)
        return AddOutput(in_memory=self.tokens, in_file=self.tokens)

    async def walk(self, input: AddInput) -> AsyncIterator[Step | Result[AddOutput]]:
        """Begin with the second step."""
        yield Step(step=1)
        yield Result(await self.add(input))

    async def echo(self, input: AddInput) -> AddInput:
        """Return something else."""
        return AddInput(token="other", ledger=input.ledger)


def _note_twice(path: Path, token: str) -> None:
    with path.open("a") as file:
        file.write(f"{token}\n{token}\n")
