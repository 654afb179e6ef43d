"""An app that tells where its calls stand in a trace, and prints in every way."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

from sessiongateway.app import BaseApp, Result, current_call

logger = logging.getLogger("traced")
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")


class App(BaseApp):
    """Says what it knows."""

    def run(self) -> dict[str, Any]:
        """Tell about this call."""
        call = current_call()
        return {
            "traceparent": call.traceparent,
            "tracestate": call.tracestate,
            "baggage": call.baggage,
            "call_id": call.call_id,
        }

    async def steps(self) -> AsyncIterator[dict[str, Any] | Result[Any]]:
        """Tell about this call in a partial output and in the result."""
        yield self.run()
        yield Result(self.run())

    def fail(self, input: dict[str, Any]) -> None:
        """Raise an error with the text that is given."""
        raise ValueError(input["text"])

    async def hold(self, input: dict[str, Any]) -> None:
        """Print, stand at a gate until it opens, and print again."""
        print("before", input["word"])
        reader, writer = await asyncio.open_unix_connection(input["gate"])
        writer.write(f"{input['word']}\n".encode())
        await reader.readline()
        writer.close()
        print("after", input["word"])

    def say(self, input: dict[str, Any]) -> None:
        """Print a word through every way out that there is."""
        word = input["word"]
        print(f"printed {word}\nin two lines {word}")
        print("in", "pieces", word, sep=" ", file=sys.stderr)
        logger.info("logged %s", word)
        subprocess.run(["echo", f"by a process {word}"], check=True)

    async def promise(self, input: dict[str, Any]) -> None:
        """Print after the call, from a task that it leaves behind."""
        reader, writer = await asyncio.open_unix_connection(input["gate"])

        async def later() -> None:
            writer.write(b"later\n")
            await reader.readline()
            print("later")
            writer.close()

        self.task = asyncio.create_task(later())
