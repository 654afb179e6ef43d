"""The connection to a gateway, and one request over it."""

import asyncio
import ipaddress
import json
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

import grpc
from grpc import ChannelConnectivity

from sessiongateway._errors import from_rpc_error, transport_error
from sessiongateway._exceptions import SessionGatewayError
from sessiongateway._pacing import Deadline
from sessiongateway.v1 import apps_pb2_grpc, sessions_pb2, sessions_pb2_grpc

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
CallT = TypeVar("CallT", bound=grpc.aio.Call)
RunStreamCall = grpc.aio.UnaryStreamCall[sessions_pb2.RunRequest, sessions_pb2.RunStreamResponse]
KeepaliveCall = grpc.aio.StreamStreamCall[sessions_pb2.StreamKeepaliveRequest, sessions_pb2.StreamKeepaliveResponse]
WatchCall = grpc.aio.UnaryStreamCall[sessions_pb2.WatchSessionsRequest, sessions_pb2.WatchSessionsResponse]

_MAX_ANSWER = 64 * 1024 * 1024

_REASON_TIMEOUT = 1.0
"""Seconds: one who is refused is told at once."""

# Run and the streams are absent on purpose: gRPC cannot know whether a run was applied when its connection broke, and a
# broken stream is opened again with its own backoff. The same as clients/service_config.json.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": "sessiongateway.v1.SessionService", "method": method}
                for method in ("GetSession", "ListSessions", "Keepalive", "EndSession")
            ]
            + [{"service": "sessiongateway.v1.AppService"}],
            "timeout": "120s",
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


# Names that may stand for several gateways: calls go round among all that they stand for. A plain HOST:PORT is one
# gateway, and one connection, which is cheaper where the gateway has several processes.
_ROUND_ROBIN = {**_SERVICE_CONFIG, "loadBalancingConfig": [{"round_robin": {}}]}
_SEVERAL = ("dns:", "ipv4:", "ipv6:")


@dataclass(frozen=True)
class Stubs:
    """The services of a gateway."""

    # Quoted because the stubs' types, unlike the stubs, exist for type checkers only.
    sessions: "sessions_pb2_grpc.SessionServiceAsyncStub"
    apps: "apps_pb2_grpc.AppServiceAsyncStub"


class Transport:
    """One channel, opened with the first request and bound to the event loop of that moment.

    A client may be made before there is a loop, and used again by a later `asyncio.run`.
    """

    def __init__(self, address: str, api_key: str | None, credentials: grpc.ChannelCredentials | None) -> None:
        """Remember where to connect; nothing is opened yet.

        Raises:
            ValueError: The address is empty, or the key holds characters that cannot be sent.
        """
        if not address:
            raise ValueError("the address of the gateway is empty")
        if address.startswith(("http://", "https://")):
            raise ValueError(f"the address of a gateway is HOST:PORT, not a URL: {address}")
        if ":" not in address:
            raise ValueError(f"the address of the gateway must be HOST:PORT, not {address!r}")
        self.address = address
        self._credentials = credentials
        self._metadata = _metadata(api_key)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channel: grpc.aio.Channel | None = None
        self._stubs: Stubs | None = None
        self._streams: weakref.WeakSet[grpc.aio.Call] = weakref.WeakSet()
        self._closed = False
        self._connected = False
        """Whether the channel has had a connection."""

    async def send(
        self,
        method: "Callable[[Stubs], grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]]",
        request: RequestT,
        deadline: Deadline,
    ) -> ResponseT:
        """Send a request that is safe to repeat. gRPC repeats it, once there has been a connection.

        Raises:
            SessionGatewayError: It failed.
        """
        channel, stubs = self._open()
        if not self._connected:
            # Repeating does not help against an address or certificate that is wrong, and hides why for a second.
            await self._connect(channel, deadline, None)
        return await self._finish(method(stubs)(request, timeout=deadline.remaining(), metadata=self._metadata), None)

    async def run(self, request: sessions_pb2.RunRequest, deadline: Deadline) -> sessions_pb2.RunResponse:
        """Send a run, once, and only over a connection that stands.

        Raises:
            SessionGatewayError: It failed; its run state is "not_started" if it was never sent.
        """
        channel, stubs = self._open()
        await self._connect(channel, deadline)
        call = stubs.sessions.Run(request, timeout=deadline.remaining(), metadata=self._metadata)
        return await self._finish(call, "unknown")

    async def run_stream(self, request: sessions_pb2.RunRequest, deadline: Deadline) -> RunStreamCall:
        """Send a run that answers in parts, once, and only over a connection that stands. Its errors show in `read`.

        Raises:
            SessionGatewayError: There is no connection; the run state is "not_started".
        """
        channel, stubs = self._open()
        await self._connect(channel, deadline)
        return self._kept(stubs.sessions.RunStream(request, timeout=deadline.remaining(), metadata=self._metadata))

    async def read(self, call: RunStreamCall) -> sessions_pb2.RunStreamResponse | None:
        """Return the next part of a run's answer; None when it ended well. Cancelling this cancels the run.

        Raises:
            SessionGatewayError: The run failed.
        """
        part = await self._finish(call.read(), "unknown")
        return part if isinstance(part, sessions_pb2.RunStreamResponse) else None

    def stream_keepalive(self) -> KeepaliveCall:
        """Open a keepalive stream; errors show when it is used."""
        _, stubs = self._open()
        return self._kept(stubs.sessions.StreamKeepalive(metadata=self._metadata))

    def watch_sessions(self, request: sessions_pb2.WatchSessionsRequest) -> WatchCall:
        """Open a watch; errors show when it is read."""
        _, stubs = self._open()
        return self._kept(stubs.sessions.WatchSessions(request, metadata=self._metadata))

    async def close(self) -> None:
        """Cancel what is in flight and close the channel. May be called twice."""
        self._closed = True
        channel, self._channel = self._channel, None
        # A channel finds the calls in flight by looking at tasks; up to 1.74 it misses a stream that one waits for.
        for stream in list(self._streams):
            stream.cancel()
        if channel is not None:
            await channel.close()

    def _kept(self, stream: CallT) -> CallT:
        self._streams.add(stream)
        return stream

    def _open(self) -> tuple[grpc.aio.Channel, Stubs]:
        if self._closed:
            raise RuntimeError("the client is closed")
        loop = asyncio.get_running_loop()
        if self._channel is not None and self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("the client is in use on another event loop; use one client for each loop")
            self._channel = None
        if self._channel is None or self._stubs is None:
            self._loop = loop
            self._connected = False
            self._channel = _channel(self.address, self._credentials)
            self._stubs = Stubs(
                sessions=sessions_pb2_grpc.SessionServiceStub(self._channel),
                apps=apps_pb2_grpc.AppServiceStub(self._channel),
            )
        return self._channel, self._stubs

    async def _connect(
        self, channel: grpc.aio.Channel, deadline: Deadline, run_state: str | None = "not_started"
    ) -> None:
        # A run that fails without a connection can be told from one that was cut off only before it is sent.
        try:
            async with asyncio.timeout(deadline.remaining()):
                while (state := channel.get_state(try_to_connect=True)) is not ChannelConnectivity.READY:
                    if state is ChannelConnectivity.TRANSIENT_FAILURE:
                        message = f"no connection to {self.address}{await _why_not(channel)}"
                        raise transport_error("UNAVAILABLE", message, run_state=run_state)
                    if state is ChannelConnectivity.SHUTDOWN:
                        raise self._closed_error(run_state)
                    await channel.wait_for_state_change(state)
            self._connected = True
        except TimeoutError:
            message = f"no connection to {self.address} in the time given"
            raise transport_error("DEADLINE_EXCEEDED", message, run_state=run_state) from None
        except grpc.aio.UsageError:
            raise self._closed_error(run_state) from None

    async def _finish(self, call: Awaitable[ResponseT], run_state: str | None) -> ResponseT:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, is_run=run_state is not None) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and (task is None or not task.cancelling()):
                raise self._closed_error(run_state) from None
            raise

    def _closed_error(self, run_state: str | None) -> SessionGatewayError:
        return transport_error("CANCELLED", "the client was closed during the request", run_state=run_state)


def _metadata(api_key: str | None) -> tuple[tuple[str, str], ...]:
    if not api_key:
        return ()
    if not api_key.isascii() or not api_key.isprintable():
        # gRPC would refuse it too, but with the key in its message.
        raise ValueError("the API key holds characters that cannot be sent; is there a line break at its end?")
    return (("authorization", f"Bearer {api_key}"),)


def _channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", _MAX_ANSWER),
        ("grpc.max_send_message_length", -1),
        ("grpc.primary_user_agent", f"sessiongateway-python/{version('sessiongateway')}"),
        ("grpc.service_config", json.dumps(_ROUND_ROBIN if address.startswith(_SEVERAL) else _SERVICE_CONFIG)),
        ("grpc.use_local_subchannel_pool", 1),
        # A gateway that was restarted should be found again within seconds; gRPC's own limit is two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Finds a host that vanished during a long run. Servers refuse pings that come more often than every 5 minutes.
        ("grpc.keepalive_time_ms", 330_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]
    if _is_loopback(address):
        options.append(("grpc.enable_http_proxy", 0))
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


async def _why_not(channel: grpc.aio.Channel) -> str:
    """Return what gRPC knows of a connection that failed, which it tells only to a request that fails of it."""
    check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
    try:
        await check(b"", timeout=_REASON_TIMEOUT)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE and error.details():
            return f": {error.details()}"
    return ""


def _is_loopback(address: str) -> bool:
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.removeprefix("dns:").lstrip("/").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
