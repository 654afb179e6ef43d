"""One method for each command of the protocol."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from executor.raw import raw_run
from executor.show import app_of, error_of, result_of, session_of
from sessiongateway import AsyncInference, AsyncRunStream, AsyncSession, SessionGatewayError
from sessiongateway._keepalive import AsyncKeepaliveStream
from sessiongateway._watch import AsyncWatchStream

Fields = dict[str, Any]


class UnsupportedCommand(Exception):
    """There is no such operation."""


class Handle:
    """A session handle, and the moment at which its loss became known."""

    def __init__(self, client: AsyncInference, fields: Fields) -> None:
        self.lost: asyncio.Future[SessionGatewayError] = asyncio.get_running_loop().create_future()
        self.session: AsyncSession = client.session(
            fields["app"],
            session_timeout=fields.get("session_timeout"),
            keepalive=fields.get("keepalive", False),
            on_lost=self.lost.set_result,
        )


class Commands:
    """What a runner has opened, by the names that it gave."""

    def __init__(self) -> None:
        self._clients: dict[str, AsyncInference] = {}
        self._streams: dict[str, AsyncRunStream] = {}
        self._finished: set[str] = set()
        self._watches: dict[str, AsyncWatchStream] = {}
        self._keepalives: dict[str, AsyncKeepaliveStream] = {}
        self._handles: dict[str, Handle] = {}
        names = [name for name in dir(self) if name.startswith("_do_")]
        self._operations: dict[str, Callable[[Fields], Awaitable[Fields]]] = {
            name.removeprefix("_do_"): getattr(self, name) for name in names
        }

    async def run(self, op: str, fields: Fields) -> Fields:
        """Do one command and return what is told of it. Raises UnsupportedCommand, and what the client raises."""
        if op not in self._operations:
            raise UnsupportedCommand
        return await self._operations[op](fields)

    async def close_all(self) -> None:
        """Close every client, with all that it has open."""
        for client in self._clients.values():
            await client.close()

    async def _do_connect(self, fields: Fields) -> Fields:
        self._clients[fields["client"]] = AsyncInference(
            fields.get("api_key"),
            fields["address"],
            fields.get("timeout"),
            credentials=_credentials(fields["tls"]) if "tls" in fields else None,
        )
        return {}

    async def _do_close(self, fields: Fields) -> Fields:
        await self._clients.pop(fields["client"]).close()
        return {}

    async def _do_run(self, fields: Fields) -> Fields:
        result = await self._client(fields).run(_params(fields), timeout=fields.get("timeout"))
        return result_of(result)

    async def _do_get(self, fields: Fields) -> Fields:
        sessions = self._client(fields).sessions
        return {"session": session_of(await sessions.get(fields["session_id"], timeout=fields.get("timeout")))}

    async def _do_keepalive(self, fields: Fields) -> Fields:
        sessions = self._client(fields).sessions
        return {"session": session_of(await sessions.keepalive(fields["session_id"], timeout=fields.get("timeout")))}

    async def _do_end(self, fields: Fields) -> Fields:
        sessions = self._client(fields).sessions
        return {"session": session_of(await sessions.end(fields["session_id"], timeout=fields.get("timeout")))}

    async def _do_list(self, fields: Fields) -> Fields:
        pages = self._client(fields).sessions.list(fields.get("status"), fields.get("app"), fields.get("page_size"))
        return {"sessions": [session_of(session) async for session in pages]}

    async def _do_get_app(self, fields: Fields) -> Fields:
        return {"app": app_of(await self._client(fields).apps.get(fields["app"]))}

    async def _do_list_apps(self, fields: Fields) -> Fields:
        return {"apps": [app_of(app) async for app in self._client(fields).apps.list(fields.get("page_size"))]}

    async def _do_stream_open(self, fields: Fields) -> Fields:
        stream = self._client(fields).run_stream(_params(fields), timeout=fields.get("timeout"))
        self._streams[fields["stream"]] = stream
        self._finished.discard(fields["stream"])
        return {}

    async def _do_stream_next(self, fields: Fields) -> Fields:
        name = fields["stream"]
        if name in self._finished:
            return {"end": True}
        stream = self._streams[name]
        try:
            return {"partial": json.dumps(await anext(stream))}
        except StopAsyncIteration:
            self._finished.add(name)
            return {"result": result_of(stream.result)}

    async def _do_stream_close(self, fields: Fields) -> Fields:
        await self._streams.pop(fields["stream"]).aclose()
        return {}

    async def _do_watch_open(self, fields: Fields) -> Fields:
        watch = self._client(fields).sessions.watch(fields.get("resume_token"), fields.get("app"))
        await watch.__aenter__()
        self._watches[fields["watch"]] = watch
        return {}

    async def _do_watch_next(self, fields: Fields) -> Fields:
        watch = self._watches[fields["watch"]]
        try:
            async with asyncio.timeout(fields.get("timeout")):
                event = await anext(watch)
        except TimeoutError:
            return {"timeout": True}
        session = None if event.session is None else session_of(event.session)
        return {"event": event.event, "session": session, "resume_token": event.resume_token}

    async def _do_watch_close(self, fields: Fields) -> Fields:
        watch = self._watches.pop(fields["watch"])
        await watch.aclose()
        return {"resume_token": watch.resume_token}

    async def _do_keepalive_open(self, fields: Fields) -> Fields:
        self._keepalives[fields["stream"]] = self._client(fields).stream_keepalive(fields["session_ids"])
        return {}

    async def _do_keepalive_next(self, fields: Fields) -> Fields:
        try:
            async with asyncio.timeout(fields.get("timeout")):
                event = await anext(self._keepalives[fields["stream"]])
        except TimeoutError:
            return {"timeout": True}
        except StopAsyncIteration:
            return {"end": True}
        if event.error is not None:
            return {"session_id": event.session_id, "error": error_of(event.error)}
        assert event.session is not None
        return {"session_id": event.session_id, "session": session_of(event.session)}

    async def _do_keepalive_close(self, fields: Fields) -> Fields:
        await self._keepalives.pop(fields["stream"]).aclose()
        return {}

    async def _do_handle_open(self, fields: Fields) -> Fields:
        self._handles[fields["handle"]] = Handle(self._client(fields), fields)
        return {}

    async def _do_handle_call(self, fields: Fields) -> Fields:
        session = self._handles[fields["handle"]].session
        input = json.loads(fields["input"]) if "input" in fields else {}
        options = {"timeout": fields.get("timeout"), "request_id": fields.get("request_id")}
        function = fields.get("function")
        call = session.call(function, input, **options) if function else session.call(input, **options)
        return result_of(await call)

    async def _do_handle_lost(self, fields: Fields) -> Fields:
        lost = self._handles[fields["handle"]].lost
        await asyncio.wait({lost}, timeout=fields["timeout"])
        return {"error": error_of(lost.result())} if lost.done() else {"timeout": True}

    async def _do_handle_close(self, fields: Fields) -> Fields:
        session = await self._handles.pop(fields["handle"]).session.end()
        return {"session": None if session is None else session_of(session)}

    async def _do_raw_run(self, fields: Fields) -> Fields:
        return await raw_run(fields["address"], fields.get("api_key"), fields["request"])

    def _client(self, fields: Fields) -> AsyncInference:
        return self._clients[fields["client"]]


def _params(fields: Fields) -> Fields:
    params = dict(fields.get("params", {}))
    return params | {"input": json.loads(fields["input"])} if "input" in fields else params


def _credentials(tls: dict[str, str]) -> grpc.ChannelCredentials:
    key, cert = (Path(tls[name]).read_bytes() if name in tls else None for name in ("key", "cert"))
    return grpc.ssl_channel_credentials(Path(tls["ca"]).read_bytes(), key, cert)
