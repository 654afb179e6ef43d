"""The languages that have a client, and how their executors come about."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from tools.conformance.executor import ANSWER_DEADLINE, Executor, ExecutorError
from tools.paths import ROOT

NAMES = ("python", "typescript", "go", "java", "rust", "cpp", "ruby")

FIRST_ANSWER = 60.0
"""Seconds until an executor that was just started must answer: some have a virtual machine to start first."""


@dataclass(frozen=True)
class Language:
    """A client and the program that plays scenarios with it."""

    name: str
    clients: Path = field(default=ROOT / "clients")
    answer_deadline: float = ANSWER_DEADLINE

    @property
    def executor(self) -> Path:
        """The program."""
        return (self.clients / self.name).resolve() / "conformance"

    @property
    def advice(self) -> str:
        """How to get the program."""
        build = self.clients / self.name / "build"
        where = f"clients/{self.name}/build" if self.clients == ROOT / "clients" else str(build)
        return f"run {where}, which says what it needs" if build.exists() else "it has none yet"

    async def start(self) -> Executor:
        """Start the executor and have it answer once. Raises ExecutorError if it cannot be used."""
        if not self.executor.exists():
            raise ExecutorError(f"there is no clients/{self.name}/conformance")
        executor = await Executor.start([self.executor], answer_deadline=FIRST_ANSWER)
        try:
            # Connecting sends nothing, so that any address does.
            await executor.answer(await executor.send("connect", {"client": "first", "address": "127.0.0.1:1"}))
            await executor.answer(await executor.send("close", {"client": "first"}))
        except (ExecutorError, asyncio.CancelledError):
            await executor.kill()
            raise
        executor.answer_deadline = self.answer_deadline
        return executor
