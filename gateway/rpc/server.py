"""The gRPC server: which services it has, how it listens, and how it stops."""

import ipaddress
import logging

from google.rpc import error_details_pb2  # noqa: F401  # loaded, so that reflection can describe error details
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from gateway.clock import Clock
from gateway.config import ServerSettings
from gateway.rpc.edge import generic_handler
from gateway.rpc.peers.exchange import Exchange
from gateway.rpc.raw import Methods
from gateway.rpc.services import AppService, SessionService
from gateway.rpc.transports import MISSING, TransportMissing, choose, make
from gateway.sessions.catalog import AppCatalog
from gateway.sessions.manager import SessionManager
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
    ) -> None:
        """With an `exchange` there are other processes on the same port, and each request goes to the one it is for.

        Raises CannotListen when the transport of the settings is not installed.
        """
        self._settings = settings
        self._health = health.aio.HealthServicer()
        try:
            self.transport = choose(settings.transport)
        except TransportMissing as error:
            raise CannotListen(str(error)) from None
        self._server = make(self.transport, transport_options(settings, share_port=exchange is not None))
        services = ((_SESSIONS, SessionService(manager, clock, settings.max_input_bytes)), (_APPS, AppService(catalog)))
        if exchange is not None:
            exchange.serve(Methods(services))
        self._server.add_generic_rpc_handlers(
            tuple(generic_handler(service, servicer, clock, exchange) for service, servicer in services)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)  # type: ignore[arg-type]
        if settings.reflection:
            names = (_SESSIONS.full_name, _APPS.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME)
            servicer = reflection.aio.ReflectionServicer(names)
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, self._server)  # type: ignore[no-untyped-call]

    def bind(self) -> str:
        """Take the address and return it with the port that it became. Raises CannotListen."""
        host, _, _ = self._settings.listen.rpartition(":")
        if not self._settings.insecure and not is_loopback(host):
            raise CannotListen(
                f"{self._settings.listen} can be reached from other machines, and nothing would be encrypted or "
                "checked: listen on 127.0.0.1, or say --insecure if something in front of the gateway does that"
            )
        try:
            bound = self._server.add_insecure_port(self._settings.listen)
        except RuntimeError:
            bound = 0
        if not bound:
            raise CannotListen(
                f"cannot listen on {self._settings.listen}: the port is taken (by another gateway?), or the address is "
                "not one of this machine; --listen HOST:0 takes any free port"
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

    async def set_serving(self, serving: bool) -> None:
        """Say in health whether calls are taken."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in HEALTH_NAMES:
            await self._health.set(name, status)

    async def stop(self, grace: float) -> None:
        """Take no more RPCs, give those that are open `grace` seconds, then cut them."""
        await self._server.stop(grace)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def transport_options(settings: ServerSettings, *, share_port: bool = False) -> list[tuple[str, int]]:
    """Return the options of the gRPC server. With `share_port` others may listen on its port too."""
    # Above the gateway's own limit, so that an input slightly too large is refused with an error that says so.
    receive = max(4 * settings.max_input_bytes, 16 * 1024 * 1024) + _MESSAGE_OVERHEAD
    return [
        ("grpc.max_receive_message_length", receive),
        ("grpc.max_send_message_length", -1),
        # Otherwise a second gateway would take half of the first one's connections without a word.
        ("grpc.so_reuseport", int(share_port)),
        # gRPC refuses at random what comes in a burst beyond its own 1000 and 3000, as CANCELLED without a word.
        ("grpc.server.max_pending_requests", _MAX_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING),
    ]
