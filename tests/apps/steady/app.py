"""An app that behaves: it counts its calls, and can be held in the middle of one."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

from pydantic import Field

from sessiongateway.app import BaseApp, BaseAppInput


class HoldInput(BaseAppInput):
    port: int


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

    async def hold(self, input: HoldInput) -> dict[str, Any]:
        """Connect to a port and stay there until the other side hangs up."""
        self.calls += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", input.port)
        try:
            await reader.read()
        finally:
            writer.close()
        return {"calls": self.calls, "pid": os.getpid()}

    def hold_thread(self, input: HoldInput) -> dict[str, Any]:
        """Do as `hold` does, but block the worker meanwhile."""
        self.calls += 1
        with socket.create_connection(("127.0.0.1", input.port)) as connection:
            connection.recv(1)
        return {"calls": self.calls, "pid": os.getpid()}

    async def order(self, input: OrderInput) -> dict[str, Any]:
        """Take a typed input."""
        return {"total": sum(item.amount for item in input.items)}

    async def write(self, input: dict[str, Any]) -> dict[str, Any]:
        """Leave a file in the working directory."""
        path = Path(str(input["name"]))
        path.write_text("written")
        return {"path": str(path.resolve())}
