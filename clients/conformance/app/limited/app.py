"""An app that may take little, and takes more when it is asked to."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sessiongateway.app import BaseApp


class App(BaseApp):
    """One instance for each worker."""

    def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Return the input."""
        return input

    async def hold(self, input: dict[str, Any]) -> dict[str, Any]:
        """Stand at the gate until it opens; gives way when it is cancelled."""
        reader, writer = await asyncio.open_unix_connection(input["gate"])
        try:
            writer.write(f"{input['word']}\n".encode())
            await reader.readline()
        finally:
            writer.close()
        return {}

    def hold_blocking(self, input: dict[str, Any]) -> dict[str, Any]:
        """Stand at the gate, and give way to nothing."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(input["gate"])
            connection.sendall(f"{input['word']}\n".encode())
            connection.recv(16)
        return {}

    async def pause(self, input: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield once, then stand at the gate."""
        yield {"at": "gate"}
        await self.hold(input)

    def fill(self) -> None:
        """Write three files that are too large together, and no single one of them is."""
        for number in range(3):
            Path(f"file{number}").write_bytes(b"x" * 600_000)

    def spawn(self) -> None:
        """Start three processes at a time."""
        for _ in range(3):
            subprocess.Popen(["sleep", "600"])
