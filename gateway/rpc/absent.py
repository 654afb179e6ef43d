"""NOT_FOUND of health and channelz, which are no part of the contract: with an ErrorInfo, as all other errors have.

There is no ErrorDetail, whose codes are those of the contract.
"""

from collections.abc import Collection
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health

from gateway.rpc.details import DOMAIN, cut
from gateway.rpc.edge import DETAILS_KEY

SERVICE_NOT_FOUND = "SERVICE_NOT_FOUND"
CHANNELZ_NOT_FOUND = "CHANNELZ_NOT_FOUND"
"""Reasons that are no codes of the contract."""

_LONGEST = 256
"""Bytes of a name that the caller has sent and is told again."""


async def abort_absent(context: Any, reason: str, message: str, **metadata: str) -> NoReturn:
    """Answer NOT_FOUND."""
    details = trailers(reason, message, **metadata)
    await context.abort(grpc.StatusCode.NOT_FOUND, message, details)
    raise AssertionError("abort returns")


def trailers(reason: str, message: str, **metadata: str) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata of a NOT_FOUND with this message."""
    info = error_details_pb2.ErrorInfo(
        reason=reason,
        domain=DOMAIN,
        metadata={**{key: cut(metadata[key], _LONGEST) for key in metadata}, "httpStatus": "404"},
    )
    status = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message=message)
    packed = any_pb2.Any()
    packed.Pack(info)
    status.details.append(packed)
    return ((DETAILS_KEY, status.SerializeToString()),)


class Health(health.aio.HealthServicer):
    """grpc.health.v1, which says of a service that it does not know what other services say, too."""

    def __init__(self, names: Collection[str]) -> None:
        """`names` are the services that it knows."""
        super().__init__()
        self._names = names

    async def Check(self, request: Any, context: Any) -> Any:
        """Return whether a service takes calls."""
        if request.service not in self._names:
            service = cut(request.service, _LONGEST)
            message = f"there is no service {service} whose health is known"
            await abort_absent(context, SERVICE_NOT_FOUND, message, service=service)
        return await super().Check(request, context)
