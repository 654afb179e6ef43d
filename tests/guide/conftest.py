"""A gateway that serves `my-app` as the user's guide has it, found by its address in the environment."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway import Inference
from tests.scenarios.client import connected

KV = Path(__file__).parents[2] / "examples" / "kv"

Sgw = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    # Of several versions the last one is the current one: the guide's pinned and unpinned calls mean the same.
    apps = {"my-app@older": KV, "my-app@abc123": KV, "other-app": KV}
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), apps, ["--min-idle", "1"]) as process:
        yield process


@pytest.fixture(autouse=True)
def address_in_environment(gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's client is given a key and no address."""
    monkeypatch.setenv("SGW_ADDRESS", gateway.address)


@pytest.fixture
def client() -> Iterator[Inference]:
    with Inference(api_key="guide") as client:
        yield client


@pytest.fixture
def session_id(client: Inference) -> Iterator[str]:
    """A session that has had one call."""
    session_id: str = client.run({"app": "my-app", "input": {"key": "value"}, "session": "new"})["session_id"]
    yield session_id
    client.sessions.end(session_id)


@pytest.fixture
def ended_session(client: Inference) -> str:
    """A session that was ended."""
    session_id: str = client.run({"app": "my-app", "session": "new"}).session_id
    client.sessions.end(session_id)
    return session_id


@pytest.fixture(scope="module")
def expired_session(gateway: GatewayProcess) -> str:
    """A session that has timed out. Nobody waits by the clock: the gateway says when it has."""

    async def expire() -> str:
        async with connected(gateway.address, "guide", app="my-app") as client, client.keepalive_stream() as stream:
            opened = await client.new(session_timeout=1)
            await stream.renew(opened.id)
            assert (await stream.receive()).HasField("error")
            return opened.id

    return asyncio.run(expire())


@pytest.fixture
def sgw(gateway: GatewayProcess) -> Sgw:
    """Run the command line as a user of that gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SGW_")}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env={**kept, "SGW_ADDRESS": gateway.address},
        )

    return run
