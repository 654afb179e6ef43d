"""Client of Session Gateway: `Inference` for plain code, `AsyncInference` for asyncio.

Names are loaded when they are first used. Importing this package, or `sessiongateway.app`, therefore loads neither
grpc nor protobuf, which workers need: they import apps and then fork, and a fork after grpc hangs or crashes.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessiongateway._client import AsyncInference
    from sessiongateway._exceptions import (
        AppError,
        AppMismatchError,
        AppNotFoundError,
        AppStartFailedError,
        CallCountMismatchError,
        CallInterruptedError,
        CallTimedOutError,
        DeadlineExceededError,
        FunctionNotFoundError,
        GatewayDrainingError,
        InternalError,
        InvalidInputError,
        InvalidRequestError,
        NoWorkerAvailableError,
        PermissionDeniedError,
        QuotaExceededError,
        RequestIdReusedError,
        SessionBusyError,
        SessionEndedError,
        SessionExpiredError,
        SessionGatewayError,
        SessionNotFoundError,
        StoreUnavailableError,
        UnauthenticatedError,
        UnavailableError,
        VersionMismatchError,
        VersionNotFoundError,
        WorkerLeasedError,
        WorkerLostError,
        WorkerNotFoundError,
    )
    from sessiongateway._keepalive import AsyncKeepaliveStream
    from sessiongateway._pacing import Pacing
    from sessiongateway._session import AsyncSession
    from sessiongateway._stream import AsyncRunStream
    from sessiongateway._sync import Inference, KeepaliveStream, RunStream, Session, WatchStream
    from sessiongateway._tls import TLS
    from sessiongateway._types import AppInfo, FunctionInfo, KeepaliveEvent, RunResult, SessionInfo, WatchEvent
    from sessiongateway._watch import AsyncWatchStream

__all__ = [
    "TLS",
    "AppError",
    "AppInfo",
    "AppMismatchError",
    "AppNotFoundError",
    "AppStartFailedError",
    "AsyncInference",
    "AsyncKeepaliveStream",
    "AsyncRunStream",
    "AsyncSession",
    "AsyncWatchStream",
    "CallCountMismatchError",
    "CallInterruptedError",
    "CallTimedOutError",
    "DeadlineExceededError",
    "FunctionInfo",
    "FunctionNotFoundError",
    "GatewayDrainingError",
    "Inference",
    "InternalError",
    "InvalidInputError",
    "InvalidRequestError",
    "KeepaliveEvent",
    "KeepaliveStream",
    "NoWorkerAvailableError",
    "Pacing",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RequestIdReusedError",
    "RunResult",
    "RunStream",
    "Session",
    "SessionBusyError",
    "SessionEndedError",
    "SessionExpiredError",
    "SessionGatewayError",
    "SessionInfo",
    "SessionNotFoundError",
    "StoreUnavailableError",
    "UnauthenticatedError",
    "UnavailableError",
    "VersionMismatchError",
    "VersionNotFoundError",
    "WatchEvent",
    "WatchStream",
    "WorkerLeasedError",
    "WorkerLostError",
    "WorkerNotFoundError",
]

_HOMES = {
    "AsyncInference": "_client",
    "AsyncKeepaliveStream": "_keepalive",
    "AsyncRunStream": "_stream",
    "AsyncSession": "_session",
    "AsyncWatchStream": "_watch",
    "Inference": "_sync",
    "KeepaliveStream": "_sync",
    "RunStream": "_sync",
    "Session": "_sync",
    "WatchStream": "_sync",
    "Pacing": "_pacing",
    "TLS": "_tls",
    "AppInfo": "_types",
    "FunctionInfo": "_types",
    "KeepaliveEvent": "_types",
    "RunResult": "_types",
    "SessionInfo": "_types",
    "WatchEvent": "_types",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES.get(name, '_exceptions')}")
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
