"""The gateway's side of watches, written down by the test before the client connects."""

import asyncio
import queue
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import Message

from sessiongateway.v1 import errors_pb2, sessions_pb2
from tests.sdk.scripted import ScriptedGateway, abort

Step = sessions_pb2.WatchSessionsResponse | tuple[grpc.StatusCode, tuple[Message, ...]] | None


class WatchScript:
    """Plays one list of steps for each stream that is opened, in turn: a message, or a status that ends the stream.

    None ends it without one. A list that is used up leaves its stream open; streams beyond the lists just stand.
    """

    def __init__(self, gateway: ScriptedGateway, *streams: list[Step]) -> None:
        self.asked: queue.Queue[tuple[str, str]] = queue.Queue()
        """Resume token and app of each request."""
        self.closed: queue.Queue[None] = queue.Queue()
        self._streams = list(streams)
        gateway.answer_streams["WatchSessions"] = self.serve

    async def serve(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.asked.put((request.resume_token, request.app))
        steps = self._streams.pop(0) if self._streams else [message("WATCHING", request.resume_token)]
        try:
            for step in steps:
                if step is None:
                    return
                if isinstance(step, tuple):
                    await abort(context, step[0], "refused", *step[1])
                yield step
            await asyncio.Event().wait()
        finally:
            self.closed.put(None)


def message(event: str, token: str, session_id: str = "") -> sessions_pb2.WatchSessionsResponse:
    """Return one message of a watch."""
    response = sessions_pb2.WatchSessionsResponse(
        event=sessions_pb2.SessionEvent.Value(f"SESSION_EVENT_{event}"), resume_token=token
    )
    response.occurred_at.FromSeconds(1_700_000_000)
    if session_id:
        response.session.CopyFrom(sessions_pb2.Session(id=session_id, app="kv"))
    return response


def failing(status: grpc.StatusCode, code: str = "", retry_after: int = 0) -> Step:
    """Return the step that ends a stream with a status; with a code, as a gateway does."""
    if not code:
        return status, ()
    detail = errors_pb2.ErrorDetail(code=errors_pb2.ErrorCode.Value(f"ERROR_CODE_{code}"))
    if retry_after:
        detail.retry_after.FromSeconds(retry_after)
    return status, (detail,)
