"""Requests of callers, and the tokens in them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import status_pb2
from hypothesis import strategies as st

from gateway.apps.registry import AppRegistry
from gateway.config import Settings
from gateway.errors import InvalidRequest
from gateway.model import SessionStatus
from gateway.rpc.raw import Failure, Failures, Methods
from gateway.rpc.services import AppService, SessionService
from gateway.sessions.catalog import AppCatalog
from gateway.sessions.manager import SessionManager
from gateway.sessions.pages import KEY_BYTES, Tokens
from gateway.sessions.requests import Caller
from gateway.sessions.watch import query_of
from gateway.stores.base import SessionFilter
from gateway.stores.sqlite import SqliteStore
from gateway.testing.clock import FakeClock
from gateway.testing.memory_machine import MemoryMachine
from gateway.testing.memory_pool import MemoryPool
from gateway.worker_settings import WorkerSettings
from sessiongateway.v1 import apps_pb2, errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tools.fuzz.engine import Target, no_leak
from tools.fuzz.inputs import ODD_TEXTS, messages, mutated

CALLER = Caller("fuzz")
MINE = SessionFilter(owner=CALLER.principal)
_TOKENS = Tokens(bytes(KEY_BYTES))
_PATIENCE = 2.0
"""Seconds for an answer, which nothing has to be waited for."""
_SESSIONS = 200
"""Inputs after which all sessions are ended, so that there is room for new ones."""


class Echo:
    """The app."""

    def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Answer."""
        return {"keys": len(input)}


class Service:
    """A gateway in memory: the whole way of a request but for the transport and the processes."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        (directory / "app.py").touch()
        self.clock = FakeClock()
        self.store = SqliteStore(directory / "sessions.db")
        settings = Settings(workers=WorkerSettings(max_workers=10_000, min_idle=0))
        self.pool = MemoryPool(settings.workers, MemoryMachine(self.clock, {"app": Echo}), self.clock)
        registry = AppRegistry(directory / "apps", {"app": directory})
        self.manager = SessionManager(self.store, self.pool, registry, self.clock, settings, tokens=_TOKENS)
        sessions = SessionService(self.manager, self.clock, settings.server.max_input_bytes)
        apps = AppService(AppCatalog(registry, self.pool, self.clock, 1.0))
        self._descriptors = [
            pb.DESCRIPTOR.services_by_name["SessionService"],
            apps_pb2.DESCRIPTOR.services_by_name["AppService"],
        ]
        self.methods = Methods(list(zip(self._descriptors, (sessions, apps), strict=True)), Failures())
        self.session = ""
        self._asked = 0

    @classmethod
    async def start(cls, directory: Path) -> "Service":
        """Start one, with a session."""
        service = cls(directory)
        await service.store.open()
        await service.manager.start()
        await service._begin()
        return service

    async def close(self) -> None:
        """End everything."""
        await self.manager.close(end_sessions=True)
        await self.pool.close()
        await self.store.close()

    async def _end_sessions(self) -> None:
        active = SessionFilter(owner=CALLER.principal, status=SessionStatus.ACTIVE)
        while sessions := (await self.manager.list(active, 1000, "", CALLER)).sessions:
            for session in sessions:
                await self.manager.end(session.id, CALLER)

    async def _begin(self) -> None:
        request = pb.RunRequest(app="app", session="new", input_json=b"{}", session_timeout=3600)
        answer = await self.methods.unary("Run", request.SerializeToString(), CALLER)
        self.session = pb.RunResponse.FromString(answer).session_id

    async def ask(self, name: str, data: bytes) -> None:
        """Send a request. Raises whatever is not as the contract has it."""
        self._asked += 1
        if self._asked % _SESSIONS == 0:
            await self._end_sessions()
            await self._begin()
        method = self.methods.methods[name]
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._answered(method, data)
        except Failure as failure:
            _check(failure)

    async def _answered(self, method: MethodDescriptor, data: bytes) -> None:
        if not method.server_streaming:
            await self.methods.unary(method.name, data, CALLER)
            return

        async def requests() -> AsyncIterator[bytes]:
            yield data

        stream: Any = self.methods.bidi if method.client_streaming else self.methods.stream
        async with aclosing(stream(method.name, requests() if method.client_streaming else data, CALLER)) as answers:
            async for _ in answers:
                if method.name == "WatchSessions":  # which has no end
                    return


def _check(failure: Failure) -> None:
    details = status_pb2.Status.FromString(failure.details)
    assert failure.status is not grpc.StatusCode.INTERNAL, failure.message
    told = [errors_pb2.ErrorDetail.FromString(each.value) for each in details.details if "ErrorDetail" in each.type_url]
    assert len(told) == 1, failure.message
    assert told[0].code not in (errors_pb2.ERROR_CODE_UNSPECIFIED, errors_pb2.ERROR_CODE_INTERNAL), failure.message
    if not told[0].HasField("app_failure"):
        no_leak(str(details))


def targets(service: Service, runner: asyncio.Runner) -> list[Target]:
    """Return one for requests, and one for each kind of token."""

    def ask(name_and_data: tuple[str, bytes]) -> None:
        runner.run(service.ask(*name_and_data))

    def page(token: str) -> None:
        try:
            runner.run(service.manager.list(MINE, 10, token, CALLER))
        except InvalidRequest as error:
            no_leak(error.message)

    def watch(token: str) -> None:
        async def begin() -> None:
            (await service.manager.watch(MINE, token, CALLER)).close()

        try:
            runner.run(begin())
        except InvalidRequest as error:
            no_leak(error.message)

    return [
        Target("requests", _requests(service), ask),
        Target("page_tokens", _tokens("ListSessions"), page),
        Target("resume_tokens", _tokens("WatchSessions"), watch),
    ]


def _requests(service: Service) -> st.SearchStrategy[tuple[str, bytes]]:
    texts = st.deferred(lambda: st.sampled_from(["app", "run", service.session, "new"])) | ODD_TEXTS

    def of(method: MethodDescriptor) -> st.SearchStrategy[tuple[str, bytes]]:
        valid = messages(method.input_type, texts).map(lambda message: message.SerializeToString())
        return st.tuples(st.just(method.name), mutated(valid) | st.binary(max_size=40))

    # A list rather than one_of(): which of them comes is then a choice of its own.
    kinds = {name: of(method) for name, method in service.methods.methods.items()}
    return st.sampled_from(sorted(kinds)).flatmap(kinds.__getitem__)


def _tokens(method: str) -> st.SearchStrategy[str]:
    query = query_of(method, CALLER.principal, MINE)
    cursors = st.sampled_from(["", "0", "1", "999999999999999999", "-1", "1e5", " 1", "\u0661"]) | st.text(max_size=25)
    given = cursors.map(lambda cursor: _TOKENS.token(query, cursor).encode())
    return mutated(given).map(lambda data: data.decode("latin-1")) | st.text(max_size=40) | ODD_TEXTS
