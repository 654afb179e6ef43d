"""What the probe does as a generator."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sessiongateway.app import Result


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
