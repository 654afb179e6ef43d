"""An app whose functions stream."""

import asyncio
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

from pydantic import Field

from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput


class CountInput(BaseAppInput):
    to: int = Field(description="Where to stop.")


class Number(BaseAppOutput):
    number: int = Field(description="The number that was reached.")
    text: str = Field(description="The same with an escape sequence.")


class Total(BaseAppOutput):
    total: int = Field(description="How many numbers there were.")


class App(BaseApp):
    """Counts."""

    def count(self, input: CountInput) -> Generator[Number, None, Total]:
        """Yield the numbers up to one."""
        for number in range(1, input.to + 1):
            yield Number(number=number, text="żółw \x9b31m")
        return Total(total=input.to)

    def give_up(self) -> Iterator[dict[str, Any]]:
        """Yield once, and raise."""
        yield {"number": 1}
        raise ValueError("enough")

    async def linger(self, input: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield, and take an hour. With `forever`, go on yielding instead."""
        try:
            yield {"number": 0}
            while input.get("forever"):
                yield {"padding": "x" * 10_000}
            sys.stdout.write("counter lingers\n")
            await asyncio.sleep(3600)
        finally:
            sys.stdout.write("counter ended\n")
