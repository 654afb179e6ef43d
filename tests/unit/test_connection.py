"""The gateway's end of a worker's connection, against one that answers what no worker of ours would."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.errors import AppError, RunState
from gateway.model import AppRef
from gateway.testing.waiting import DEADLINE
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


class Worker:
    """The other end of a real connection, which reads when it is told to."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._frames = FrameReader()

    def arrived(self) -> list[pb.ToWorker]:
        """Return the frames that are there by now."""
        found: list[pb.ToWorker] = []
        while True:
            try:
                data = self._end.recv(1 << 20)
            except BlockingIOError:
                return found
            found += [pb.ToWorker.FromString(bytes(body)) for body in self._frames.feed(data)]


@pytest.fixture
async def connected() -> AsyncIterator[tuple[WorkerConnection, Worker]]:
    """A connection over a socket, and the worker's end of it."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connection = WorkerConnection(
        "wrk_a", AppRef("app", "1"), on_ready=lambda _: None, on_failed=lambda _: None, on_broken=lambda: None
    )
    await asyncio.get_running_loop().create_connection(lambda: connection, sock=ours)
    yield connection, Worker(theirs)
    connection.abort()
    theirs.close()
    await asyncio.sleep(0)


async def test_a_call_is_with_its_worker_before_the_turn_of_the_loop_is_over(
    connected: tuple[WorkerConnection, Worker],
) -> None:
    connection, worker = connected
    for number in range(3):
        connection.start(WorkerCall("run", b"{}", call_id=f"call_{number}"))
        assert [frame.call.id for frame in worker.arrived()] == [f"call_{number}"]


async def test_frames_to_a_worker_that_does_not_read_come_whole_and_in_order_when_it_does(
    connected: tuple[WorkerConnection, Worker],
) -> None:
    connection, worker = connected
    sizes = [20_000, 3_000_000, 10, 30_000] * 10
    for number, size in enumerate(sizes):
        connection.start(WorkerCall("run", b"x" * size, call_id=f"call_{number}"))
    frames: list[pb.ToWorker] = []
    async with asyncio.timeout(DEADLINE):
        while len(frames) < len(sizes):
            frames += worker.arrived()
            await asyncio.sleep(0)
    assert [(frame.call.id, len(frame.call.payload)) for frame in frames] == [
        (f"call_{number}", size) for number, size in enumerate(sizes)
    ]


async def test_nothing_is_written_to_whoever_has_the_descriptor_of_a_connection_that_was_closed(
    connected: tuple[WorkerConnection, Worker],
) -> None:
    connection, _ = connected
    readable, writable = os.pipe()
    try:
        descriptor = connection._descriptor
        connection.abort()
        os.dup2(writable, descriptor)  # before the loop has told the connection of its end
        connection.start(WorkerCall("run", b"{}", call_id="call_a"))
        os.set_blocking(readable, False)
        with pytest.raises(BlockingIOError):
            os.read(readable, 1)
    finally:
        os.close(readable)
        os.close(writable)


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
