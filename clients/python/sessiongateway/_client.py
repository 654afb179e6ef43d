"""The asynchronous client. The synchronous one is this one, run on a thread of its own."""

import os
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import grpc

from sessiongateway._convert import run_request
from sessiongateway._exceptions import SessionGatewayError
from sessiongateway._keepalive import AsyncKeepaliveStream, Renewer
from sessiongateway._pacing import Pacing
from sessiongateway._resources import AsyncApps, AsyncSessions
from sessiongateway._runner import Runner
from sessiongateway._session import AsyncSession
from sessiongateway._stream import AsyncRunStream
from sessiongateway._tls import TLS, chosen
from sessiongateway._transport import Transport
from sessiongateway._types import RunResult
from sessiongateway._watch import AsyncWatchStream

DEFAULT_ADDRESS = "127.0.0.1:50151"


class AsyncInference:
    """A client of Session Gateway for asyncio.

    Used as `async with AsyncInference() as client`, or closed with `await client.close()`. Belongs to the event loop
    that it is first used on.
    """

    def __init__(
        self,
        api_key: str | None = None,
        address: str | None = None,
        timeout: float | None = None,
        *,
        tls: TLS | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        """Remember the settings; the connection is made with the first request.

        Args:
            api_key: Sent with every request; a JSON Web Token where the gateway takes those. Left out: SGW_API_KEY of
                the environment, if there is one.
            address: HOST:PORT of the gateway. Left out: the environment's SGW_ADDRESS, else 127.0.0.1:50151.
            timeout: Seconds that a request may take with all its attempts, where the request does not say itself.
                None: as long as it takes.
            tls: Encrypt the connection. Left out: as the environment's SGW_TLS, SGW_TLS_CA, SGW_TLS_CERT and
                SGW_TLS_KEY say, else plain text.
            credentials: What gRPC has for other cases, in place of `tls`.
            pacing: Waits between attempts.

        Raises:
            ValueError: The API key cannot be sent, or a file of `tls` cannot be used.
        """
        key = os.environ.get("SGW_API_KEY") if api_key is None else api_key
        where = address or os.environ.get("SGW_ADDRESS") or DEFAULT_ADDRESS
        self._transport = Transport(where, key, chosen(tls, credentials))
        self._pacing = pacing or Pacing()
        self._runner = Runner(self._transport, self._pacing, timeout)
        self._renewer = Renewer(self._transport, self._pacing)
        self._streams: set[AsyncKeepaliveStream | AsyncWatchStream] = set()
        self.sessions = AsyncSessions(self._transport, self._runner.deadline, self._pacing, self._streams)
        """Reads, watches, renews and ends sessions."""
        self.apps = AsyncApps(self._transport, self._runner.deadline)
        """Tells what is deployed."""

    async def run(
        self, params: Mapping[str, Any] | None = None, /, *, timeout: float | None = None, **fields: Any
    ) -> RunResult:
        """Call a function of an app, and return its answer.

        `params` and the keyword arguments are put together, the latter win: `app` ("name" or "name@version"),
        `function`, `input` (a JSON object: a dict or a pydantic model), `session` ("new" or a session id),
        `session_timeout` (whole seconds), `worker_id`, `request_id`, `expected_call_count`.

        A run is sent again only when the gateway answers that it is shutting down and took nothing. It is never sent
        again because a connection broke: see `SessionGatewayError.run_state`. Cancelling the task cancels the run.

        Args:
            params: The fields as one mapping.
            timeout: Seconds for all of it, overriding the client's.
            **fields: The fields one by one.

        Raises:
            TypeError: A field is unknown or has the wrong type. Nothing was sent.
            ValueError: `app` is missing, or the input cannot be JSON. Nothing was sent.
            SessionGatewayError: The run failed; its class says how, its `run_state` whether it was applied.
        """
        return await self._runner.run(run_request({**(params or {}), **fields}), self._runner.deadline(timeout))

    def run_stream(
        self, params: Mapping[str, Any] | None = None, /, *, timeout: float | None = None, **fields: Any
    ) -> AsyncRunStream:
        """Call a function of an app, and return an iterator over its partial outputs, which has the result at its end.

        Takes what `run` takes. Nothing is sent, and no time counts, before the first step of the iteration. Iterating
        raises what `run` raises, and sends the run again under the same rule, before the first part only.

        Args:
            params: The fields as one mapping.
            timeout: Seconds from the first step to the result, overriding the client's.
            **fields: The fields one by one.

        Raises:
            TypeError: A field is unknown or has the wrong type.
            ValueError: `app` is missing, or the input cannot be JSON.
        """
        request = run_request({**(params or {}), **fields})
        return AsyncRunStream(self._runner.stream(request, lambda: self._runner.deadline(timeout)))

    def session(
        self,
        app: str,
        *,
        session_timeout: int | None = None,
        keepalive: bool = False,
        timeout: float | None = None,
        on_lost: Callable[[SessionGatewayError], object] | None = None,
    ) -> AsyncSession:
        """Return a handle of a new session, which opens with its first call and ends when its `async with` is left.

        Args:
            app: "name" or "name@version".
            session_timeout: The idle timeout in whole seconds, 1 to 3600. None: 60.
            keepalive: Renew the session by itself for as long as the handle lives.
            timeout: Seconds for each of its requests, where a call does not say itself.
            on_lost: Called once, with the reason, when keepalive finds that the session is gone. Must not block.
        """
        return AsyncSession(
            app,
            runner=self._runner,
            sessions=self.sessions,
            session_timeout=session_timeout,
            renewer=self._renewer if keepalive else None,
            timeout=timeout,
            on_lost=on_lost,
        )

    def stream_keepalive(self, session_ids: Iterable[str]) -> AsyncKeepaliveStream:
        """Start renewing sessions, at a third of the shortest timeout among them, until the stream is closed.

        Must be called on the event loop. Iterate over it with `async for` to learn how the sessions fare: each is
        either renewed or lost. Iterating ends when all are lost.
        """
        stream = AsyncKeepaliveStream(Renewer(self._transport, self._pacing), session_ids, self._streams.discard)
        self._streams.add(stream)
        return stream

    async def close(self) -> None:
        """Stop every renewal, cancel what is in flight and close the connection. May be called twice."""
        for stream in list(self._streams):
            await stream.aclose()
        await self._renewer.aclose()
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(address={self._transport.address!r})"
