"""The two services. Each handler decodes, asks once, and encodes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, closing

from gateway.clock import Clock
from gateway.rpc import codec, validation
from gateway.rpc.keepalive import KeepaliveEncoder
from gateway.sessions.catalog import AppCatalog
from gateway.sessions.keepalive import KeepaliveStream
from gateway.sessions.manager import SessionManager
from gateway.sessions.requests import Caller
from sessiongateway.v1 import apps_pb2
from sessiongateway.v1 import sessions_pb2 as pb


class SessionService:
    """sessiongateway.v1.SessionService."""

    def __init__(self, manager: SessionManager, clock: Clock, max_input_bytes: int) -> None:
        self._manager = manager
        self._clock = clock
        self._max_input_bytes = max_input_bytes

    async def Run(self, request: pb.RunRequest, caller: Caller) -> pb.RunResponse:
        asked = validation.run_request(request, self._max_input_bytes)
        answer = await self._manager.run(asked, caller)
        return codec.run_response(answer, asked.as_struct, self._clock.now())

    async def RunStream(self, request: pb.RunRequest, caller: Caller) -> AsyncGenerator[pb.RunStreamResponse, None]:
        asked = validation.run_request(request, self._max_input_bytes)
        async with aclosing(self._manager.run_stream(asked, caller)) as parts:
            async for part in parts:
                yield codec.run_stream_response(part, asked.as_struct, self._clock.now())

    async def WatchSessions(
        self, request: pb.WatchSessionsRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchSessionsResponse]:
        filter = validation.watch_filter(request, caller.sees)
        with closing(await self._manager.watch(filter, request.resume_token, caller)) as watch:
            async for event in watch:
                yield codec.watch_response(event)

    async def GetSession(self, request: pb.GetSessionRequest, caller: Caller) -> pb.GetSessionResponse:
        session = await self._manager.get(validation.session_id(request.session_id), caller)
        return pb.GetSessionResponse(session=codec.session_message(session, self._clock.now()))

    async def ListSessions(self, request: pb.ListSessionsRequest, caller: Caller) -> pb.ListSessionsResponse:
        filter, size = validation.session_filter(request, caller.sees)
        page = await self._manager.list(filter, size, request.page_token, caller)
        now = self._clock.now()
        sessions = [codec.session_message(session, now) for session in page.sessions]
        return pb.ListSessionsResponse(sessions=sessions, next_page_token=page.next_cursor)

    async def Keepalive(self, request: pb.KeepaliveRequest, caller: Caller) -> pb.KeepaliveResponse:
        session = await self._manager.keepalive(validation.session_id(request.session_id), caller)
        return pb.KeepaliveResponse(session=codec.session_message(session, self._clock.now()))

    async def EndSession(self, request: pb.EndSessionRequest, caller: Caller) -> pb.EndSessionResponse:
        session = await self._manager.end(validation.session_id(request.session_id), caller)
        return pb.EndSessionResponse(session=codec.session_message(session, self._clock.now()))

    async def StreamKeepalive(
        self, requests: AsyncIterator[pb.StreamKeepaliveRequest], caller: Caller
    ) -> AsyncIterator[pb.StreamKeepaliveResponse]:
        stream = self._manager.keepalive_stream(caller)
        reader = asyncio.create_task(_feed(requests, stream))
        encoder = KeepaliveEncoder()
        try:
            async for answers in stream:
                for response in encoder.responses(answers, self._clock.now()):
                    yield response
            await reader
        finally:
            # However the stream ends: a cancel, a lost connection and a half-close all look the same from here.
            reader.cancel()
            stream.close()


async def _feed(requests: AsyncIterator[pb.StreamKeepaliveRequest], stream: KeepaliveStream) -> None:
    try:
        async for request in requests:
            session_ids, wrong = validation.session_ids(request.session_ids)
            await stream.renew(session_ids, wrong, together=request.batch)
    finally:
        stream.no_more_requests()


class AppService:
    """sessiongateway.v1.AppService."""

    def __init__(self, catalog: AppCatalog) -> None:
        self._catalog = catalog

    async def ListApps(self, request: apps_pb2.ListAppsRequest, caller: Caller) -> apps_pb2.ListAppsResponse:
        apps, token = self._catalog.list(validation.page_size(request.page_size), request.page_token, caller)
        return apps_pb2.ListAppsResponse(apps=map(codec.app_message, apps), next_page_token=token)

    async def GetApp(self, request: apps_pb2.GetAppRequest, caller: Caller) -> apps_pb2.GetAppResponse:
        app = await self._catalog.get(validation.app_query(request.app), caller)
        return apps_pb2.GetAppResponse(app=codec.app_message(app))
