"""Ray Serve with its gRPC ingress and one replica that keeps state, answering the gateway's own messages.

Run as a program in .venv/bench: prints `listening on HOST:PORT` and ends when its standard input is closed.
"""

import socket

from ray import serve
from ray.serve.config import HTTPOptions, gRPCOptions

from bench.yardsticks.echo_session import CALL_ID, a_session
from bench.yardsticks.ray_local import ray_running, wait_for_the_end
from sessiongateway.v1 import sessions_pb2 as pb

_SERVICER = "sessiongateway.v1.sessions_pb2_grpc.add_SessionServiceServicer_to_server"


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0})
class Echo:
    """One process, as a session has one, with something to remember."""

    def __init__(self) -> None:
        self.calls = 0
        self._session = a_session()

    async def Run(self, request: pb.RunRequest) -> pb.RunResponse:
        """Return the input."""
        self.calls += 1
        return pb.RunResponse(
            session_id=self._session.id, output_json=request.input_json, call_id=CALL_ID, session=self._session
        )


def main() -> None:
    """Serve until standard input is closed."""
    http, port = _free_port(), _free_port()
    with ray_running():
        serve.start(
            http_options=HTTPOptions(host="127.0.0.1", port=http),
            grpc_options=gRPCOptions(port=port, grpc_servicer_functions=[_SERVICER]),
        )
        serve.run(Echo.bind())  # type: ignore[attr-defined]  # the decorator makes it
        print(f"listening on 127.0.0.1:{port}", flush=True)
        wait_for_the_end()
        serve.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
