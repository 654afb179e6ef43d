"""A scripted gateway and clients of it."""

import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from sessiongateway import AsyncInference, Inference
from sessiongateway._pacing import Pacing
from tests.sdk.clock import FakeClock
from tests.sdk.scripted import KeepaliveScript, ScriptedGateway
from tests.sdk.streams import StreamScript


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedGateway]:
    monkeypatch.delenv("SGW_API_KEY", raising=False)
    monkeypatch.delenv("SGW_ADDRESS", raising=False)
    gateway = ScriptedGateway()
    gateway.start()
    yield gateway
    gateway.close()


@pytest.fixture
def keepalives(gateway: ScriptedGateway) -> KeepaliveScript:
    return KeepaliveScript(gateway)


@pytest.fixture
def script(gateway: ScriptedGateway) -> StreamScript:
    return StreamScript(gateway)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pacing(clock: FakeClock) -> Pacing:
    # 0 makes every renewal come after exactly a third of the timeout, and every wait half of its step.
    return Pacing(clock=clock, random=lambda: 0.0)


@pytest.fixture
def client(gateway: ScriptedGateway, pacing: Pacing) -> Iterator[Inference]:
    with Inference(address=gateway.address, pacing=pacing) as client:
        yield client
    assert not [thread for thread in threading.enumerate() if thread.name == "sessiongateway"]


@pytest.fixture
async def async_client(gateway: ScriptedGateway, pacing: Pacing) -> AsyncIterator[AsyncInference]:
    async with AsyncInference(address=gateway.address, pacing=pacing) as client:
        yield client
