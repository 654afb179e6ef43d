"""The yardstick of most figures: a grpc.aio server that answers Run at once, with the messages, the loop and the
transport settings of the gateway, and nothing of what a gateway is for.

Run as a program: prints `listening on HOST:PORT` and ends when its standard input is closed.
"""

import asyncio
import sys

from gateway import process_environment

process_environment.apply()

# What apply() sets is read when grpc is loaded.
import grpc  # noqa: E402
import uvloop  # noqa: E402

from bench.yardsticks.echo_session import CALL_ID, a_session  # noqa: E402
from gateway.config import ServerSettings  # noqa: E402
from gateway.rpc.server import transport_options  # noqa: E402
from sessiongateway.v1 import sessions_pb2 as pb  # noqa: E402


async def serve() -> None:
    """Serve until standard input is closed."""
    session = a_session()

    async def run(request: pb.RunRequest, _: object) -> pb.RunResponse:
        return pb.RunResponse(session_id=session.id, output_json=request.input_json, call_id=CALL_ID, session=session)

    handler = grpc.unary_unary_rpc_method_handler(
        run, request_deserializer=pb.RunRequest.FromString, response_serializer=pb.RunResponse.SerializeToString
    )
    server = grpc.aio.server(options=transport_options(ServerSettings()))
    service = pb.DESCRIPTOR.services_by_name["SessionService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Run": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(serve())
