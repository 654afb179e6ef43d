"""The app of the scenarios: answers, fails, waits and streams as it is asked to."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

from pydantic import BaseModel

from sessiongateway.app import BaseApp, Result


class Order(BaseModel):
    """An input with a type."""

    customer: str
    amounts: list[int] = []


class Streams:
    """Generators of several kinds."""

    memory: dict[str, Any]

    def count(self, input: dict[str, Any]) -> Generator[dict[str, Any], None, dict[str, Any]]:
        """Yield so many numbers, and return how many there were."""
        for number in range(input["to"]):
            yield {"number": number}
        return {"total": input["to"]}

    def yield_all(self, input: dict[str, Any]) -> Iterator[Any]:
        """Yield what is given, then end or raise."""
        yield from input["outputs"]
        if "raise" in input:
            raise ValueError(input["raise"])

    async def flood(self, input: dict[str, Any]) -> AsyncIterator[dict[str, Any] | Result[dict[str, Any]]]:
        """Yield outputs of so many bytes, keeping count of them in a file."""
        try:
            for number in range(1, input["outputs"] + 1):
                await asyncio.sleep(0)
                with open(input["file"], "w") as file:  # noqa: ASYNC230, PTH123 - one short write
                    file.write(str(number))
                yield {"number": number, "padding": "x" * input["bytes"]}
            yield Result({"total": input["outputs"]})
        finally:
            self.memory["ending"] = "the flood is over"

    async def pause(self, input: dict[str, Any]) -> AsyncIterator[dict[str, Any] | Result[dict[str, Any]]]:
        """Yield, stand at the gate, and yield again."""
        try:
            yield {"at": "gate"}
            await _stand_at(input["gate"], input["word"])
            yield {"at": "home"}
            yield Result({"passed": True})
        except asyncio.CancelledError:
            self.memory["cancelled"] = input["word"]
            raise


class App(Streams, BaseApp):
    """One instance for each worker."""

    def __init__(self) -> None:
        self.calls = 0
        self.memory: dict[str, Any] = {}

    def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Return the input, and how many calls of this function there were."""
        self.calls += 1
        return {"calls": self.calls, "input": input}

    def remember(self, input: dict[str, Any]) -> dict[str, Any]:
        """Keep the entries of the input, and return all that is kept."""
        self.memory |= input
        return self.memory

    def order(self, input: Order) -> dict[str, Any]:
        """Take an input with a type."""
        return {"customer": input.customer, "total": sum(input.amounts)}

    async def hold(self, input: dict[str, Any]) -> dict[str, Any]:
        """Stand at the gate until it opens. Remembers that it was cancelled."""
        self.calls += 1
        try:
            await _stand_at(input["gate"], input["word"])
        except asyncio.CancelledError:
            self.memory["cancelled"] = input["word"]
            raise
        return {"word": input["word"], "calls": self.calls}

    def hold_blocking(self, input: dict[str, Any]) -> dict[str, Any]:
        """Stand at the gate, and let nothing else of this worker run."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(input["gate"])
            connection.sendall(f"{input['word']}\n".encode())
            connection.recv(16)
        return {"word": input["word"]}

    def fail(self, input: dict[str, Any]) -> None:
        """Raise."""
        self.calls += 1
        raise ValueError(input.get("text", "as asked"))

    def die(self, input: dict[str, Any]) -> None:
        """End the process, by a signal or with a code."""
        if "signal" in input:
            os.kill(os.getpid(), input["signal"])
            signal.pause()
        os._exit(input["code"])

    def large(self, input: dict[str, Any]) -> dict[str, Any]:
        """Return a text of so many bytes."""
        return {"text": "x" * input["bytes"]}

    def no_json(self) -> dict[str, Any]:
        """Return what cannot be sent."""
        return {"number": float("nan")}


async def _stand_at(gate: str, word: str) -> None:
    reader, writer = await asyncio.open_unix_connection(gate)
    try:
        writer.write(f"{word}\n".encode())
        await reader.readline()
    finally:
        writer.close()
