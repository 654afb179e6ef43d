"""The gateway's end of a worker's connection, against one that answers what no worker of ours would."""

import asyncio

import pytest

from gateway.errors import AppError, RunState
from gateway.model import AppRef
from gateway.workers.base import WorkerCall
from gateway.workers.connection import WorkerConnection
from gateway.workers.frames import FrameReader, encode
from gateway.workers.partials import Partials
from sessiongateway.worker.v1 import worker_pb2 as pb

MAX_OUTPUT = 100


class Wire(asyncio.Transport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self._frames = FrameReader()
        self.sent: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += [str(pb.ToWorker.FromString(body).WhichOneof("frame")) for body in self._frames.feed(bytes(data))]


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def connection(wire: Wire) -> WorkerConnection:
    connection = WorkerConnection(
        "wrk_a", AppRef("app", "1"), on_ready=lambda _: None, on_failed=lambda _: None, on_broken=lambda: None
    )
    connection.connection_made(wire)
    return connection


async def test_an_answer_larger_than_was_asked_for_goes_no_further(connection: WorkerConnection) -> None:
    for size, too_large in ((MAX_OUTPUT, False), (MAX_OUTPUT + 1, True)):
        call = connection.start(WorkerCall("run", b"{}", call_id="call_a", max_output=MAX_OUTPUT))
        connection.data_received(encode(pb.FromWorker(result=pb.Result(id="call_a", output=b"x" * size))))
        if not too_large:
            assert len(await call.reply) == size
            continue
        with pytest.raises(AppError, match="the answer is 101 bytes") as caught:
            await call.reply
        assert caught.value.run_state is RunState.COMPLETED


async def test_a_partial_output_larger_than_was_asked_for_cancels_the_call(
    connection: WorkerConnection, wire: Wire
) -> None:
    call = connection.start(WorkerCall("run", b"{}", call_id="call_a", max_output=MAX_OUTPUT, partials=Partials()))
    connection.data_received(encode(pb.FromWorker(partial=pb.Partial(id="call_a", output=b"x" * (MAX_OUTPUT + 1)))))
    with pytest.raises(AppError, match="a partial output is 101 bytes") as caught:
        await call.reply
    assert caught.value.run_state is RunState.UNKNOWN
    assert wire.sent == ["call", "cancel"]
