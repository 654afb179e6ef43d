"""A plain gRPC client for what is set up around a measurement, and for what is timed one at a time."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import grpc

from bench.load import Opening, Slot
from bench.servers import APP
from sessiongateway.v1 import apps_pb2, apps_pb2_grpc, sessions_pb2_grpc
from sessiongateway.v1 import sessions_pb2 as pb

DEADLINE = 30.0
LONGEST = 3600
"""Seconds: the timeout of sessions that are to live through a measurement."""

_AT_A_TIME = 8

_UNKNOWN = b"?" * 26
"""As long as the random part of a session's id."""
_AN_ID = "sess_" + _UNKNOWN.decode()


@dataclass(frozen=True)
class Opened:
    """A session that was opened, and an input that no other session of the run is sent."""

    session: pb.Session
    input_json: bytes


class Client:
    """Calls one gateway, or what answers like one. Every answer is checked; any error is a grpc.RpcError."""

    def __init__(self, address: str) -> None:
        # A connection of its own: clients of one process share theirs otherwise.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self._channel = grpc.insecure_channel(address, options=options)
        self.sessions = sessions_pb2_grpc.SessionServiceStub(self._channel)
        self.apps = apps_pb2_grpc.AppServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def open(
        self, input_json: bytes = b'{"n":0}', timeout: int = LONGEST, app: str = APP, deadline: float = DEADLINE
    ) -> Opened:
        """Lease a worker with a first call, and check its answer. `timeout` is the session's, in seconds, and
        `deadline` that of the call.
        """
        request = pb.RunRequest(app=app, session="new", session_timeout=timeout, input_json=input_json)
        answer = self.sessions.Run(request, timeout=deadline)
        if answer.output_json != input_json or answer.session.id != answer.session_id or not answer.session_id:
            raise ValueError(f"a wrong answer: {answer}")
        return Opened(answer.session, input_json)

    def open_many(self, count: int, timeout: int = LONGEST, app: str = APP, first: int = 0) -> list[Opened]:
        """Open sessions, some at a time, each with an input of its own: numbers from the first one on."""
        with ThreadPoolExecutor(_AT_A_TIME) as threads:
            return list(threads.map(lambda n: self.open(an_input(n), timeout, app), range(first, first + count)))

    def end(self, opened: Opened) -> None:
        """End a session."""
        self.sessions.EndSession(pb.EndSessionRequest(session_id=opened.session.id), timeout=DEADLINE)

    def end_many(self, opened: Sequence[Opened]) -> None:
        """End sessions, some at a time."""
        with ThreadPoolExecutor(_AT_A_TIME) as threads:
            list(threads.map(self.end, opened))

    def live(self) -> list[pb.Session]:
        """Return the sessions that are live."""
        found: list[pb.Session] = []
        request = pb.ListSessionsRequest(page_size=1000, status=pb.SESSION_STATUS_ACTIVE)
        while True:
            page = self.sessions.ListSessions(request, timeout=DEADLINE)
            found += page.sessions
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def ready_workers(self, app: str = APP) -> int:
        """Return how many workers wait for a session."""
        return len(self.apps.GetApp(apps_pb2.GetAppRequest(app=app), timeout=DEADLINE).app.idle_worker_ids)


@contextmanager
def sessions(address: str, count: int) -> Iterator[list[Opened]]:
    """Have sessions open for as long as the context lasts."""
    with Client(address) as client:
        opened = client.open_many(count)
        try:
            yield opened
        finally:
            client.end_many(opened)


def an_input(number: int, size: int = 0) -> bytes:
    """Return a JSON object with this number in it, `size` bytes long unless it is longer anyway."""
    bare = {"n": number, "text": ""}
    bare["text"] = "x" * max(0, size - len(compact(bare)))
    return compact(bare)


def compact(value: object) -> bytes:
    """Return JSON as a worker writes it, so that an echo can be compared byte by byte."""
    return json.dumps(value, separators=(",", ":")).encode()


def call_slot(opened: Opened, input_json: bytes | None = None, app: str = APP) -> Slot:
    """Return the call of a session with its input, whose answer must have that input and this session in it."""
    sent = opened.input_json if input_json is None else input_json
    request = pb.RunRequest(app=app, session=opened.session.id, input_json=sent)
    return Slot(request.SerializeToString(), pb.RunResponse(output_json=sent).SerializeToString())


def home_slot(number: int, app: str = APP) -> Slot:
    """Return the call of a session that the slot opens itself, over the connection by which it then calls it. All
    answers must have the input with this number in them. Nobody ends the session.
    """
    sent = an_input(number)
    first = pb.RunRequest(app=app, session="new", session_timeout=LONGEST, input_json=sent)
    called = call_slot(Opened(pb.Session(id=_AN_ID), sent), app=app)
    # The id comes first in the answer: field and length, and what all ids begin with.
    told = pb.RunResponse(session_id=_AN_ID).SerializeToString().removesuffix(_UNKNOWN)
    return replace(called, opening=Opening(first.SerializeToString(), _UNKNOWN, told))
