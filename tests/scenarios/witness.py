"""A caller with a session of its own, which whatever goes wrong beside it must leave as it was."""

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import eventually, worker_directories
from tests.scenarios.client import Client, connected

APPS = Path(__file__).parents[1] / "apps"
STEADY = "steady"

_numbers = itertools.count()


class Witness:
    """Holds one session of the app `steady`, and remembers all that a refused request must not change."""

    def __init__(self, gateway: GatewayProcess, client: Client, session: pb.Session, workers: int) -> None:
        self.gateway = gateway
        self.client = client
        self.session = session
        self._workers = workers

    @property
    def app(self) -> str:
        """The session's app with its version."""
        return f"{self.session.app}@{self.session.version}"

    async def send(self, request: pb.RunRequest) -> pb.RunResponse:
        """Send a Run as it is. Raises CallFailed."""
        response: pb.RunResponse = await self.client.unary(self.client.sessions.Run, request)
        return response

    async def run(self, app: str, input: Mapping[str, Any] | None = None, **fields: Any) -> pb.RunResponse:
        """Send a Run; without an input it has no payload. Raises CallFailed."""
        payload: dict[str, Any] = {} if input is None else {"input_json": json.dumps(input).encode()}
        return await self.send(pb.RunRequest(app=app, **payload, **fields))

    async def open(self, app: str, **fields: Any) -> pb.Session:
        """Open another session, which the test ends."""
        return (await self.run(app, {}, session="new", **fields)).session

    async def check_nothing_changed(self) -> None:
        """Assert that the session is as before, that no other was left, nor a worker, and that calls are answered."""
        now = await self.client.get(self.session.id)
        now.ClearField("expires_in")
        assert now == self.session
        active = await self.client.list(status=pb.SESSION_STATUS_ACTIVE)
        assert [session.id for session in active.sessions] == [self.session.id]
        directory, workers = self.gateway.data_dir, self._workers
        await eventually("no other worker is left", lambda: len(worker_directories(directory)) == workers)
        answer = await self.run(self.app, {}, session=self.session.id)
        assert json.loads(answer.output_json)["calls"] == self.session.call_count + 1


@asynccontextmanager
async def witness(gateway: GatewayProcess, *plain: str) -> AsyncIterator[Witness]:
    """Open a session; end it after everything was found unchanged. Each witness is a caller of its own.

    `plain` are further apps that the test calls without a session.
    """
    async with connected(gateway.address, key=f"witness-{next(_numbers)}") as client:
        for app in (STEADY, *plain):
            await client.run(app=app)  # from now on its worker for plain calls is there, and stays
        others = len(worker_directories(gateway.data_dir))
        opened = await client.new(app=STEADY)
        session = await client.get(opened.id)
        session.ClearField("expires_in")
        watching = Witness(gateway, client, session, others + 1)
        try:
            yield watching
            await watching.check_nothing_changed()
        finally:
            await client.end(session.id)
        await eventually("the worker is gone", lambda: len(worker_directories(gateway.data_dir)) == others)
