"""For how long connections may stay, and how many there may be: what both transports keep, each in its way."""

import resource
from dataclasses import dataclass

from gateway.connection_settings import ConnectionSettings

_FILES_PER_WORKER = 3
_FILES_BESIDES = 256
"""Descriptors for other things than connections, as `sgw doctor` reckons them."""

CHATTER = 100
"""Frames that ask for nothing but an answer, or not even that, and that may come before anything is answered: beside
one for each second, and with each answer the count begins anew. Clients of gRPC send one now and then."""

MAX_STREAMS = 20_000
"""RPCs of one connection at a time: what comes in a burst must not be refused, and a client keeps what is beyond it."""

_NEVER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """The settings of connections as a server takes them: seconds, 0 for never."""

    keepalive_time: float = 60.0
    keepalive_timeout: float = 20.0
    max_age: float = 0.0
    age_grace: float = 300.0
    max_idle: float = 0.0
    max_connections: int = 10_000


def bounds_of(settings: ConnectionSettings, max_workers: int, files: int | None = None) -> Bounds:
    """Return the bounds of a gateway process. `files` may be open in it, by default what the system allows."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if files is None else files
    most = settings.max_connections
    if files not in (resource.RLIM_INFINITY, -1):
        # Whoever connects must not keep workers from being started, nor have none at all.
        most = min(most, max(files - _FILES_PER_WORKER * max_workers - _FILES_BESIDES, files // 4))
    return Bounds(
        settings.keepalive_time,
        settings.keepalive_timeout,
        settings.max_connection_age,
        settings.max_connection_age_grace,
        settings.max_connection_idle,
        most,
    )


def grpc_options(bounds: Bounds) -> list[tuple[str, int]]:
    """Return the options of a server of grpcio's that has these bounds."""
    return [
        ("grpc.keepalive_time_ms", _milliseconds(bounds.keepalive_time)),
        ("grpc.keepalive_timeout_ms", _milliseconds(bounds.keepalive_timeout)),
        ("grpc.http2.ping_timeout_ms", _milliseconds(bounds.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
        ("grpc.http2.max_ping_strikes", CHATTER),
        ("grpc.max_connection_age_ms", _milliseconds(bounds.max_age)),
        ("grpc.max_connection_age_grace_ms", max(1, _milliseconds(bounds.age_grace or 0.001))),
        ("grpc.max_connection_idle_ms", _milliseconds(bounds.max_idle)),
        ("grpc.max_allowed_incoming_connections", bounds.max_connections),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
    ]


def _milliseconds(seconds: float) -> int:
    return min(_NEVER, max(1, round(seconds * 1000))) if seconds else _NEVER
