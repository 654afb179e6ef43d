"""The yardstick of most figures: a grpc.aio server that answers Run at once, with the messages, the loop and the
transport settings of the gateway, and nothing of what a gateway is for.

Run as a program: prints `listening on HOST:PORT` and ends when its standard input is closed.
"""

import asyncio
import sys
import time

from gateway import process_environment

process_environment.apply()

# What apply() sets is read when grpc is loaded.
import grpc  # noqa: E402
import uvloop  # noqa: E402

from gateway.config import ServerSettings  # noqa: E402
from gateway.rpc.server import transport_options  # noqa: E402
from sessiongateway.v1 import sessions_pb2 as pb  # noqa: E402

_CALL_ID = "call_" + 16 * "a"


def a_session() -> pb.Session:
    """Return a session with every field that a live one has, of the same size."""
    session = pb.Session(
        id="sess_" + 26 * "a",
        app="echo",
        version="0123456789ab",
        status=pb.SESSION_STATUS_ACTIVE,
        worker_id="wrk_" + 16 * "a",
        session_timeout=3600,
        call_count=100,
    )
    now = time.time()
    for field in (session.created_at, session.expires_at, session.last_call_at):
        field.seconds, field.nanos = int(now), 123_456_000
    session.expires_in.seconds, session.expires_in.nanos = 3599, 999_000_000
    return session


async def serve() -> None:
    """Serve until standard input is closed."""
    session = a_session()

    async def run(request: pb.RunRequest, _: object) -> pb.RunResponse:
        return pb.RunResponse(session_id=session.id, output_json=request.input_json, call_id=_CALL_ID, session=session)

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
