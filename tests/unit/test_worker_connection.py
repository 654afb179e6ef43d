"""The worker's end of a connection, and the calls that come over it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from gateway.worker.connection import Connection
from gateway.worker.host import AppHost
from gateway.worker.limits import ProcessLimits
from gateway.worker.loop import WorkerLoop
from gateway.worker.server import WorkerServer
from gateway.workers.frames import LARGE, FrameReader, encode
from sessiongateway.app import BaseApp
from sessiongateway.worker.v1 import worker_pb2 as pb

DEADLINE = 20.0


class App(BaseApp):
    """Notes which calls have begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    async def echo(self, input: dict[str, Any]) -> dict[str, Any]:
        """Answer at once."""
        self.begun.append(input.get("name", ""))
        return input

    async def wait(self, input: dict[str, Any]) -> None:
        """Wait for ever."""
        self.begun.append(input["name"])
        await asyncio.Event().wait()

    def begun_so_far(self) -> dict[str, Any]:
        """Tell them."""
        return {"begun": self.begun}


class Gateway:
    """The other end of the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = FrameReader()

    async def send(self, *frames: pb.ToWorker) -> None:
        """Write all of them at once."""
        await asyncio.get_running_loop().sock_sendall(self._socket, b"".join(map(encode, frames)))

    async def frames(self) -> AsyncIterator[pb.FromWorker]:
        """Yield what comes."""
        while data := await asyncio.get_running_loop().sock_recv(self._socket, 65536):
            for body in self._reader.feed(data):
                yield pb.FromWorker.FromString(body)

    async def results(self, count: int) -> list[pb.Result]:
        """Return the next answers."""
        found: list[pb.Result] = []
        async for frame in self.frames():
            if frame.HasField("result"):
                found.append(frame.result)
            if len(found) == count:
                break
        return found


def call(name: str, payload: bytes = b"{}", function: str = "echo", **more: Any) -> pb.ToWorker:
    """Return a call."""
    return pb.ToWorker(call=pb.Call(id=name, function=function, payload=payload, format=pb.PAYLOAD_FORMAT_JSON, **more))


Run = Callable[[Callable[[Gateway], Awaitable[None]]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    """Run a test's body on a worker's loop, with a worker behind the other end of a gateway's socket."""
    loop = WorkerLoop()

    async def served(body: Callable[[Gateway], Awaitable[None]]) -> None:
        ours, theirs = socket.socketpair()
        server = WorkerServer(loop, lambda: AppHost(App), os.getpid(), ProcessLimits())
        with ours:
            ours.setblocking(False)
            theirs.setblocking(False)
            connection = Connection(server, theirs, loop)
            await server.start_app()
            await asyncio.wait_for(body(Gateway(ours)), DEADLINE)
            await connection.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    yield lambda body: loop.run_until_complete(served(body))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_a_call_that_is_cancelled_in_the_same_breath_is_not_run(run: Run) -> None:
    async def body(gateway: Gateway) -> None:
        await gateway.send(call("a", b'{"name": "a"}'), pb.ToWorker(cancel=pb.Cancel(id="a")), call("b", b'{"n": 1}'))
        first, second = await gateway.results(2)
        assert (first.id, first.failure.kind) == ("a", pb.FAILURE_KIND_NOT_BEGUN)
        assert (second.id, second.output) == ("b", b'{"n":1}')
        await gateway.send(call("c", function="begun_so_far"))
        assert (await gateway.results(1))[0].output == b'{"begun":[""]}'

    run(body)


def test_a_call_that_is_cancelled_in_the_same_breath_does_not_count(run: Run) -> None:
    async def body(gateway: Gateway) -> None:
        await gateway.send(call("a"), pb.ToWorker(cancel=pb.Cancel(id="a")))
        await gateway.results(1)
        await gateway.send(call("b", expected_calls=0))
        assert (await gateway.results(1))[0].WhichOneof("outcome") == "output"

    run(body)


def test_a_running_call_is_cancelled(run: Run) -> None:
    async def body(gateway: Gateway) -> None:
        await gateway.send(call("a", b'{"name": "a"}', "wait"))
        await gateway.send(call("b", function="begun_so_far"))
        assert (await gateway.results(1))[0].output == b'{"begun":["a"]}'
        await gateway.send(pb.ToWorker(cancel=pb.Cancel(id="a")))
        (result,) = await gateway.results(1)
        assert (result.id, result.failure.type) == ("a", "CancelledError")

    run(body)


def test_a_repeat_of_a_call_that_has_ended_gets_its_answer_and_is_not_run(run: Run) -> None:
    async def body(gateway: Gateway) -> None:
        for name in ("a", "b"):
            await gateway.send(call(name, b'{"name": "once"}', request_id="r", fingerprint=b"f"))
            (result,) = await gateway.results(1)
            assert (result.id, result.output, result.repeated) == (name, b'{"name":"once"}', name == "b")
        await gateway.send(call("c", request_id="r", fingerprint=b"g"), call("d", function="begun_so_far"))
        refused, told = await gateway.results(2)
        assert refused.failure.kind == pb.FAILURE_KIND_REQUEST_ID_REUSED
        assert told.output == b'{"begun":["once"]}'

    run(body)


@pytest.mark.parametrize("size", [LARGE - 200, LARGE, 3_000_000])
def test_large_answers_that_nobody_reads_yet_come_whole_and_in_order(run: Run, size: int) -> None:
    async def body(gateway: Gateway) -> None:
        payloads = [b'{"text":"' + bytes((97 + n,)) * size + b'"}' for n in range(4)]
        await gateway.send(*(call(str(n), payload) for n, payload in enumerate(payloads)), call("small"))
        results = await gateway.results(5)
        assert [result.id for result in results] == ["0", "1", "2", "3", "small"]
        assert [result.output for result in results] == [*payloads, b"{}"]

    run(body)


def test_a_gateway_that_sends_no_frames_is_cut_off(run: Run) -> None:
    async def body(gateway: Gateway) -> None:
        await asyncio.get_running_loop().sock_sendall(gateway._socket, b"GET / HTTP/1.1\r\n\r\n")
        assert [frame.WhichOneof("frame") async for frame in gateway.frames()] == ["ready"]

    run(body)
