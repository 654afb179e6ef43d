"""The gRPC server: which services it has, how it listens, and how it stops."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping, Sequence

from google.rpc import error_details_pb2  # noqa: F401  # loaded, so that reflection can describe error details
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from gateway.auth.credentials import Credentials
from gateway.auth.holders import Reason as CallerReason
from gateway.clock import Clock
from gateway.config import ServerSettings
from gateway.reachable import objection
from gateway.rpc.absent import Health
from gateway.rpc.bounds import Bounds
from gateway.rpc.callers import Callers
from gateway.rpc.certificates import CertificateUnusable, certificates_of
from gateway.rpc.channelz import NAME as CHANNELZ
from gateway.rpc.channelz import channelz_handler
from gateway.rpc.edge import generic_handler
from gateway.rpc.peers.exchange import Exchange
from gateway.rpc.raw import Failures, Methods
from gateway.rpc.refusals import Refusals
from gateway.rpc.services import AppService, SessionService
from gateway.rpc.traced import TracedSessionService, Tracer
from gateway.rpc.transports import (
    MISSING,
    TransportMissing,
    choose,
    connections,
    handshake_options,
    listen,
    listen_too,
    make,
)
from gateway.sessions.catalog import AppCatalog
from gateway.sessions.manager import SessionManager
from gateway.timing import HTTP2_GREETING, TLS_HANDSHAKE
from sessiongateway.v1 import apps_pb2, sessions_pb2

logger = logging.getLogger("gateway.rpc")

_SESSIONS = sessions_pb2.DESCRIPTOR.services_by_name["SessionService"]
_APPS = apps_pb2.DESCRIPTOR.services_by_name["AppService"]
HEALTH_NAMES = ("", _SESSIONS.full_name, _APPS.full_name)

_MAX_PENDING = 20_000
"""RPCs that have arrived and that Python has not yet looked at. Some kilobytes each, and gone within seconds."""

_MESSAGE_OVERHEAD = 64 * 1024


class CannotListen(Exception):
    """The address cannot be used; the text says why and what to do."""


class Server:
    """A server that is ready to start: health says NOT_SERVING until `serving`."""

    def __init__(
        self,
        settings: ServerSettings,
        manager: SessionManager,
        catalog: AppCatalog,
        clock: Clock,
        exchange: Exchange | None = None,
        *,
        credentials: Credentials | None = None,
        sockets: Sequence[socket.socket] = (),
        shares_port: bool = False,
        tracer: Tracer | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        """With an `exchange` there are other processes, or gateways, and each request goes to the one it is for. With
        `shares_port` others listen on the same one, and `sockets` are those to listen on. Without `credentials` nobody
        is asked for any. With a `tracer` calls have spans.

        Raises CannotListen when the transport of the settings is not installed, or a certificate cannot be used.
        """
        self._settings = settings
        self._sockets = sockets
        self._health = Health(HEALTH_NAMES)
        try:
            self.transport = choose(settings.transport)
            self._certificates = certificates_of(settings)
        except (TransportMissing, CertificateUnusable) as error:
            raise CannotListen(str(error)) from None
        self.failures = Failures()
        """What callers have been told."""
        self.refusals = Refusals()
        """What handshakes have ended with, through nghttp2."""
        self.turned_away = Refusals(CallerReason, "a call of")
        """Why callers were not let in."""
        self._callers = Callers(clock, credentials, self.turned_away)
        self._watching: list[asyncio.Task[None]] = []
        self._server = make(self.transport, transport_options(settings, shares_port), self.refusals, bounds)
        limits = (clock, settings.max_input_bytes)
        sessions = TracedSessionService(manager, *limits, tracer) if tracer else SessionService(manager, *limits)
        services = ((_SESSIONS, sessions), (_APPS, AppService(catalog)))
        if exchange is not None:
            exchange.serve(Methods(services, self.failures))
        self._server.add_generic_rpc_handlers(
            tuple(
                generic_handler(service, servicer, self._callers, self.failures, exchange)
                for service, servicer in services
            )
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)  # type: ignore[arg-type]
        self._add_tools()

    def _add_tools(self) -> None:
        if self._settings.channelz:
            handler = channelz_handler(self.transport, self._server, self._callers, self.failures)
            self._server.add_generic_rpc_handlers((handler,))
        if not self._settings.reflection:
            return
        names = [_SESSIONS.full_name, _APPS.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME]
        if self._settings.channelz:
            names.append(CHANNELZ)
        servicer = reflection.aio.ReflectionServicer(names)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, self._server)  # type: ignore[no-untyped-call]

    def bind(self) -> str:
        """Take the address and return it with the port that it became. Raises CannotListen."""
        host, _, _ = self._settings.listen.rpartition(":")
        if (why := objection(self._settings)) is not None:
            raise CannotListen(why)
        try:
            bound = listen(self.transport, self._server, self._settings.listen, self._certificates, self._sockets)
        except RuntimeError:
            bound = 0
        if not bound:
            keys = "" if self._certificates is None else "; for grpcio, the key must be RSA, ECDSA P-256 or P-384"
            raise CannotListen(
                f"cannot listen on {self._settings.listen}: the port is taken (by another gateway?), or the address is "
                f"not one of this machine; --listen HOST:0 takes any free port{keys}"
            )
        return f"{host}:{bound}"

    async def start(self) -> None:
        """Answer RPCs from now on."""
        if MISSING is not None and self._settings.transport == "auto":
            logger.info("the transport is grpcio, because that of nghttp2 is not installed: %s", MISSING)
        else:
            logger.info("the transport is %s", self.transport)
        await self.set_serving(False)
        await self._server.start()
        self._callers.announce()
        self._watching = [asyncio.create_task(self._callers.watch())]
        if self._certificates is not None:
            self._watching.append(asyncio.create_task(self._certificates.watch()))

    async def listen_too(self, sockets: Sequence[socket.socket]) -> list[asyncio.Server]:
        """Take connections of other processes' sockets, until what is returned is closed. Through grpcio: of none."""
        return await listen_too(self.transport, self._server, sockets)

    def connections(self) -> tuple[int, Mapping[str, int]]:
        """Return how many there are, and how many this side has ended, by the reason. Through grpcio: 0 and none."""
        return connections(self.transport, self._server)

    async def set_serving(self, serving: bool) -> None:
        """Say in health whether calls are taken."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in HEALTH_NAMES:
            await self._health.set(name, status)

    async def stop(self, grace: float) -> None:
        """Take no more RPCs, give those that are open `grace` seconds, then cut them."""
        for watching in self._watching:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        await self._server.stop(grace)


def transport_options(settings: ServerSettings, share_port: bool = False) -> list[tuple[str, int]]:
    """Return the options of the gRPC server. With `share_port` others may listen on its port too."""
    # Above the gateway's own limit, so that an input slightly too large is refused with an error that says so.
    receive = max(4 * settings.max_input_bytes, 16 * 1024 * 1024) + _MESSAGE_OVERHEAD
    return [
        *handshake_options(TLS_HANDSHAKE if settings.tls_cert is not None else HTTP2_GREETING),
        ("grpc.max_receive_message_length", receive),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_channelz", int(settings.channelz)),
        # Otherwise a second gateway would take half of the first one's connections without a word.
        ("grpc.so_reuseport", int(share_port)),
        # gRPC refuses at random what comes in a burst beyond its own 1000 and 3000, as CANCELLED without a word.
        ("grpc.server.max_pending_requests", _MAX_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING),
    ]
