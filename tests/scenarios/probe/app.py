"""An app that tells everything about the process that it runs in, and fails in every way when asked to."""

import asyncio
import os
import signal
import socket
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, field_validator

from sessiongateway.app import BaseApp, Result


class Strict(BaseModel):
    """An input with a type."""

    number: int
    share: float = 0.0
    words: list[str] = []

    @field_validator("words")
    @classmethod
    def _known(cls, words: list[str]) -> list[str]:
        if "unknown" in words:
            raise LookupError("a word that the check does not know")
        if "stop" in words:
            raise KeyboardInterrupt
        return words


def hold(gate: str, word: str) -> None:
    """Stand at a test's gate and block until it opens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(gate)
        connection.sendall(f"{word}\n".encode())
        connection.recv(16)


class Step(BaseModel):
    """A partial output with a type."""

    step: int


class Total(BaseModel):
    """A result with a type."""

    total: int


class Streams:
    """Generators of all kinds."""

    memory: dict[str, Any]

    def count(self, input: dict[str, Any]) -> Generator[Step, None, Total]:
        """Yield so many steps and return how many there were."""
        for step in range(input["steps"]):
            yield Step(step=step)
        return Total(total=input["steps"])

    async def count_async(self, input: dict[str, Any]) -> AsyncIterator[Step | Result[Total]]:
        """The same, without a thread of its own."""
        for step in range(input["steps"]):
            await asyncio.sleep(0)
            yield Step(step=step)
        yield Result(Total(total=input["steps"]))
        self.memory["went on behind its result"] = True

    async def count_only(self, input: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield so many steps and end with nothing."""
        for step in range(input["steps"]):
            yield {"step": step}

    def break_off(self, input: dict[str, Any]) -> Iterator[Any]:
        """Yield what is asked for, then raise."""
        yield from input["outputs"]
        raise ValueError("as asked")

    def flood(self, input: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield so many outputs of so many bytes, and keep the number in a file."""
        try:
            for number in range(1, input["outputs"] + 1):
                Path(input["file"]).write_text(str(number))
                yield {"number": number, "padding": "x" * input["bytes"]}
        finally:
            self.memory["text"] = "the flood is over"

    async def pause(self, input: dict[str, Any]) -> AsyncIterator[dict[str, Any] | Result[Any]]:
        """Yield once, stand at a gate until it opens, and yield again. Remembers how it ended."""
        ending = "let go"
        try:
            yield {"at": "gate"}
            reader, writer = await asyncio.open_unix_connection(input["gate"])
            writer.write(b"pause\n")
            try:
                await reader.readline()
            finally:
                writer.close()
            yield {"at": "home"}
            yield Result({"passed": True})
            ending = "done"
        except asyncio.CancelledError:
            ending = "cancelled"
            raise
        finally:
            self.memory["text"] = ending


class App(Streams, BaseApp):
    """One instance per worker."""

    def __init__(self) -> None:
        self.calls = 0
        self.memory: dict[str, Any] = {}
        self.database = sqlite3.connect(":memory:")
        self.database.execute("CREATE TABLE notes (text)")
        self.at_unload: dict[str, Any] = {}

    def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Return the input and how many calls there were."""
        self.calls += 1
        return {"calls": self.calls, "input": input}

    def whoami(self) -> dict[str, Any]:
        """Tell where this runs."""
        self.calls += 1
        return {
            "pid": os.getpid(),
            "calls": self.calls,
            "cwd": str(Path.cwd()),
            "tmp": tempfile.gettempdir(),
            "environment": dict(os.environ),
        }

    def remember(self, input: dict[str, Any]) -> dict[str, Any]:
        """Keep a text in memory, in a file of each place, and in the database."""
        text = input["text"]
        self.memory["text"] = text
        Path("note").write_text(text)
        Path(tempfile.gettempdir(), "note").write_text(text)
        self.database.execute("INSERT INTO notes VALUES (?)", (text,))
        return {}

    def recall(self) -> dict[str, Any]:
        """Return what is remembered in each of the places."""
        places = [Path("note"), Path(tempfile.gettempdir(), "note")]
        return {
            "memory": self.memory.get("text"),
            "files": [place.read_text() if place.exists() else None for place in places],
            "database": [row[0] for row in self.database.execute("SELECT text FROM notes")],
        }

    def typed(self, input: Strict) -> dict[str, Any]:
        """Take a typed input."""
        self.calls += 1
        return {"number": input.number}

    async def hold(self, input: dict[str, Any]) -> dict[str, Any]:
        """Stand at a gate until it opens. Says so in the memory when it was cancelled."""
        self.calls += 1
        word = input.get("word", "")
        reader, writer = await asyncio.open_unix_connection(input["gate"])
        try:
            writer.write(f"{word}\n".encode())
            await reader.readline()
        except asyncio.CancelledError:
            self.memory["cancelled"] = word
            raise
        finally:
            writer.close()
        return {"word": word, "pid": os.getpid()}

    def hold_blocking(self, input: dict[str, Any]) -> dict[str, Any]:
        """Stand at a gate without letting anything else run."""
        hold(input["gate"], input.get("word", ""))
        return {"word": input.get("word", "")}

    def fail(self, input: dict[str, Any]) -> None:
        """Raise."""
        self.calls += 1
        raise ValueError(input.get("text", "as asked"))

    def die(self, input: dict[str, Any]) -> None:
        """End the process by a signal or with an exit code."""
        if "signal" in input:
            os.kill(os.getpid(), input["signal"])
            signal.pause()
        os._exit(input["code"])

    def hold_at_unload(self, input: dict[str, Any]) -> dict[str, Any]:
        """Have unload() stand at a gate."""
        self.at_unload = input
        return {}

    def nested(self, input: dict[str, Any]) -> dict[str, Any]:
        """Return objects in each other, as many as asked for."""
        self.calls += 1
        answer: dict[str, Any] = {}
        for _ in range(input["depth"] - 1):
            answer = {"deeper": answer}
        return answer

    def unload(self) -> None:
        """Do what was asked for."""
        if self.at_unload:
            hold(self.at_unload["gate"], self.at_unload.get("word", "unload"))
