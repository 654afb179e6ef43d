"""The app under chaos: remembers every token that it was given, in memory, in a file, and in a ledger outside."""

import asyncio
import os
from pathlib import Path

from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput


class AddInput(BaseAppInput):
    token: str
    ledger: str
    seconds: float = 0.0


class AddOutput(BaseAppOutput):
    in_memory: list[str]
    in_file: list[str]
    pid: int


class App(BaseApp):
    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.file = Path("tokens")
        self.file.touch()

    async def add(self, input: AddInput) -> AddOutput:
        self.tokens.append(input.token)
        with self.file.open("a") as file:
            file.write(input.token + "\n")
        # One write, appended: whole lines, whoever else writes, and still there when this process is killed.
        with Path(input.ledger).open("ab", buffering=0) as ledger:
            ledger.write(f"{input.token}\n".encode())
        await asyncio.sleep(input.seconds)
        return AddOutput(in_memory=self.tokens, in_file=self.file.read_text().split(), pid=os.getpid())
