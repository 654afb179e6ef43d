"""What the workers of a zygote would each do for the first time, done once before they are forked.

Python makes much of what it needs at the first use, and rewrites a function's code while it learns what it is used
with. Whatever is done before the fork the workers share, and their first call is as fast as the next.
"""

import contextlib
import os
import socket
from typing import Any

from gateway.worker.connection import Connection
from gateway.worker.host import AppHost
from gateway.worker.limits import ProcessLimits
from gateway.worker.loop import WorkerLoop
from gateway.worker.server import WorkerServer
from gateway.workers.frames import encode
from sessiongateway.app import BaseApp
from sessiongateway.worker.v1 import worker_pb2 as pb

_CALLS = 64
"""Enough for the interpreter to have adapted what every call runs through."""

_INPUTS = (b'{"a": [1, 2.5, null, "b"]}', b'{"n": 1}')
"""Which are read and written in different ways."""


class _Echo(BaseApp):
    async def run(self, input: dict[str, Any]) -> dict[str, Any]:
        return input


def warm_up(loop: WorkerLoop) -> None:
    """Answer some calls of an app of our own, in this process, on the loop that the workers will have."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        theirs.setblocking(False)
        # The app may have changed what it likes about asyncio: what fails for that is the affair of its workers.
        with contextlib.suppress(Exception):
            loop.run_until_complete(_call(loop, ours, theirs))


async def _call(loop: WorkerLoop, ours: socket.socket, theirs: socket.socket) -> None:
    server = WorkerServer(loop, lambda: AppHost(_Echo), os.getpid(), ProcessLimits())
    connection = Connection(server, theirs, loop)
    try:
        await server.start_app()
        await loop.sock_recv(ours, 65536)
        for number in range(_CALLS):
            payload = _INPUTS[number % len(_INPUTS)]
            call = pb.Call(id=f"call_{number}", function="run", payload=payload, format=pb.PAYLOAD_FORMAT_JSON)
            await loop.sock_sendall(ours, encode(pb.ToWorker(call=call)))
            await loop.sock_recv(ours, 65536)
    finally:
        await connection.close()
