"""What a zygote says, as the gateway hears it."""

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.model import AppRef, AppVersion
from gateway.testing.clock import FakeClock
from gateway.testing.descriptors import descriptors, none_left
from gateway.testing.waiting import DEADLINE
from gateway.workers.containment.base import Containment
from gateway.workers.frames import encode
from gateway.workers.zygote import Zygote, _Control
from sessiongateway.worker.v1 import worker_pb2 as pb


class Wire(asyncio.Transport):
    """The socket."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
async def zygote() -> Zygote:
    return Zygote(
        AppVersion(AppRef("app", "1"), Path("/nowhere")), Path("/nowhere"), FakeClock(), 1000, Containment("fork")
    )


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\0\0\0\x01\xff"])
async def test_what_is_no_frame_ends_the_connection_without_a_traceback(zygote: Zygote, garbage: bytes) -> None:
    control, wire = _Control(zygote), Wire()
    control.connection_made(wire)
    control.data_received(garbage)
    assert wire.aborted


async def test_what_was_said_first_of_the_functions_counts(zygote: Zygote) -> None:
    control = _Control(zygote)
    for name in ("run", "forged"):
        function = pb.FunctionDescription(name=name)
        control.data_received(encode(pb.FromZygote(loaded=pb.Loaded(functions=[function]))))
    assert [function.name for function in zygote.functions] == ["run"]


async def test_a_start_that_is_cancelled_as_soon_as_the_process_is_there_leaves_nothing_open(
    zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(protocol: object, sock: socket.socket) -> None:
        sock.close()
        raise asyncio.CancelledError

    before = descriptors()
    monkeypatch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", cancelled)
    with pytest.raises(asyncio.CancelledError):
        await zygote.start(DEADLINE)
    await none_left(before)
