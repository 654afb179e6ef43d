"""An app that behaves: it counts its calls, and has a typed input."""

import os
from typing import Any

from pydantic import Field

from sessiongateway.app import BaseApp, BaseAppInput


class Item(BaseAppInput):
    name: str
    amount: int = Field(ge=0)


class OrderInput(BaseAppInput):
    customer: str
    items: list[Item]


class App(BaseApp):
    def __init__(self) -> None:
        self.calls = 0
        self.state: dict[str, Any] = {}

    async def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Remember the entries of the input, and tell what is there."""
        self.calls += 1
        self.state.update(input)
        return {"calls": self.calls, "pid": os.getpid(), "state": self.state}

    async def order(self, input: OrderInput) -> dict[str, Any]:
        """Take a typed input."""
        return {"total": sum(item.amount for item in input.items)}
