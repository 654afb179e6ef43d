"""An app that runs two calls of a session at a time."""

import asyncio
from typing import Any

from sessiongateway.app import BaseApp


class App(BaseApp):
    """Whatever it is asked, it stands at a gate."""

    async def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Stand at the gate until it opens."""
        if "gate" in input:
            reader, writer = await asyncio.open_unix_connection(input["gate"])
            writer.write(f"{input['word']}\n".encode())
            await reader.readline()
            writer.close()
        return {}
