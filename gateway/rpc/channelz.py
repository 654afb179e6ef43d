"""grpc.channelz.v1: what a gateway process tells of its connections. Off unless `server.channelz` is set."""

from collections.abc import Callable
from typing import Any, cast

import grpc
from grpc_channelz.v1 import channelz, channelz_pb2

from gateway.rpc.absent import CHANNELZ_NOT_FOUND, trailers
from gateway.rpc.callers import Callers, Context
from gateway.rpc.edge import DETAILS_KEY
from gateway.rpc.raw import Failures
from gateway.rpc.transports import NATIVE, Transport

_SERVICE = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"]

NAME: str = _SERVICE.full_name


def channelz_handler(transport: str, server: Transport, callers: Callers, failures: Failures) -> grpc.GenericRpcHandler:
    """Return the handler of the service. Where callers need keys, it is for those with the scope `admin`."""
    servicer = channelz.aio.ChannelzServicer()
    if transport == NATIVE:
        # Imported where it can be: the extension may not have been built.
        from gateway.rpc.http2.channelz import NativeChannelz  # noqa: PLC0415
        from gateway.rpc.http2.server import Http2Server  # noqa: PLC0415

        servicer = NativeChannelz(cast(Http2Server, server))
    handlers = {}
    for method in _SERVICE.methods:
        request, response = (getattr(channelz_pb2, message.name) for message in (method.input_type, method.output_type))
        handlers[method.name] = grpc.unary_unary_rpc_method_handler(
            _guarded(method, getattr(servicer, method.name), callers, failures, transport),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )
    return grpc.method_handlers_generic_handler(NAME, handlers)


def _guarded(
    method: Any, handle: Callable[..., Any], callers: Callers, failures: Failures, transport: str
) -> Callable[..., Any]:
    async def call(request: Any, context: Context) -> Any:
        try:
            callers.require_admin(context, method.name)
        except Exception as error:  # noqa: BLE001  # as at the edge: any error becomes a status
            failure = failures.of(method, error)
            await context.abort(failure.status, failure.message, ((DETAILS_KEY, failure.details),))
        response = await handle(request, context)
        if transport != NATIVE and context.code() is grpc.StatusCode.NOT_FOUND:
            # That of grpcio sets the status and goes on; the only number in a request is what it did not find.
            (number,) = (str(value) for field, value in request.ListFields() if field.name.endswith("_id"))
            kind = method.name.removeprefix("Get").removesuffix("Sockets").lower()
            message = f"there is no {kind} {number}"
            context.set_details(message)
            context.set_trailing_metadata(trailers(CHANNELZ_NOT_FOUND, message, kind=kind, id=number))
        return response

    return call
