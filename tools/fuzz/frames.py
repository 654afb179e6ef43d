"""What comes from processes that run an app's code, which can write to the sockets of its worker and its zygote."""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from gateway.model import AppRef, AppVersion
from gateway.testing.clock import FakeClock
from gateway.worker import payload
from gateway.worker.failures import CallRefused
from gateway.workers.base import WorkerCall
from gateway.workers.connection import WorkerConnection
from gateway.workers.containment.base import Containment
from gateway.workers.frames import encode
from gateway.workers.zygote import Zygote, _Control
from sessiongateway.worker.v1 import worker_pb2 as pb
from tools.fuzz.engine import Target, no_leak
from tools.fuzz.inputs import JSONS, ODD_TEXTS, messages, mutated

_TEXTS = st.sampled_from(["call_a", "call_b", "wrk_a"]) | ODD_TEXTS


class Wire(asyncio.Transport):
    """Takes whatever is written, and remembers that it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nothing."""

    def writelines(self, list_of_data: object) -> None:
        """Nothing."""

    def abort(self) -> None:
        """Remember."""
        self.closed = True

    def close(self) -> None:
        """Remember."""
        self.closed = True


def targets(runner: asyncio.Runner) -> list[Target]:
    """Return one for workers, one for zygotes, and one for what a worker reads of a caller's input."""

    def from_worker(chunks: Sequence[bytes]) -> None:
        runner.run(_worker_says(chunks))

    def from_zygote(chunks: Sequence[bytes]) -> None:
        runner.run(_zygote_says(chunks))

    return [
        Target("worker_frames", _stream(pb.FromWorker.DESCRIPTOR), from_worker),
        Target("zygote_frames", _stream(pb.FromZygote.DESCRIPTOR), from_zygote),
        Target("inputs", st.tuples(mutated(JSONS), st.sampled_from([1, 2]), st.sampled_from(_ADAPTERS)), _input),
    ]


def _stream(descriptor: object) -> st.SearchStrategy[Sequence[bytes]]:
    frame = messages(descriptor, _TEXTS).map(encode)  # type: ignore[arg-type]
    whole = mutated(st.lists(frame, min_size=1, max_size=4).map(b"".join)) | st.binary(max_size=60)
    cuts = st.lists(st.integers(0, 200), max_size=4)
    return st.builds(cut, whole, cuts)


def cut(data: bytes, places: Sequence[int]) -> Sequence[bytes]:
    """Return the data in pieces that end at these places."""
    edges = [0, *sorted(place for place in places if place < len(data)), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(edges) if begin < end]


async def _worker_says(chunks: Sequence[bytes]) -> None:
    wire = Wire()
    connection = WorkerConnection("wrk_a", AppRef("app", "1"), on_ready=str, on_failed=str, on_broken=lambda: None)
    connection.connection_made(wire)
    sent = [connection.start(WorkerCall("run", b"{}", call_id=name, max_output=100)) for name in ("call_a", "call_b")]
    for chunk in chunks:
        if wire.closed:
            break
        connection.data_received(chunk)
    connection.connection_lost(None)
    for call in sent:
        if call.reply.done() and (error := call.reply.exception()) is not None:
            assert getattr(error, "run_state", None) is not None, error
            no_leak(getattr(error, "message", ""))


async def _zygote_says(chunks: Sequence[bytes]) -> None:
    app = AppVersion(AppRef("app", "1"), Path("/nowhere"))
    zygote = Zygote(app, Path("/nowhere"), FakeClock(), 1000, Containment("fork"))
    wire, control = Wire(), _Control(zygote)
    control.connection_made(wire)
    for chunk in chunks:
        if wire.closed:
            break
        control.data_received(chunk)
    if zygote._loaded.done():
        zygote._loaded.exception()


class _Model(BaseModel):
    a: int = 0
    b: str | None = None


_ADAPTERS: Sequence[TypeAdapter[object] | None] = [None, TypeAdapter(_Model), TypeAdapter(dict[str, float])]


def _input(asked: tuple[bytes, "pb.PayloadFormat.ValueType", TypeAdapter[object] | None]) -> None:
    data, format, adapter = asked
    try:
        value = payload.decode(data, format, adapter)
    except CallRefused as refusal:
        no_leak(refusal.failure.message)
        return
    try:
        payload.encode(value, format)
    except payload.NotJson as error:
        no_leak(str(error))
