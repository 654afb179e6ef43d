"""`sgw health`."""

from typing import Any, cast

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.cli.connection import DEFAULT_ADDRESS, Target, client_command
from gateway.cli.exits import Exit
from gateway.cli.lazy import examples
from gateway.cli.problems import CommandFailed, Problem
from sessiongateway import TLS

_TIMEOUT = 5.0
"""Seconds, when --timeout is not given: who asks is most often a program that asks again soon."""

_SERVING = health_pb2.HealthCheckResponse.SERVING


@click.command(
    "health",
    epilog=examples("sgw health", "sgw health sessiongateway.v1.SessionService --json | jq -r .status"),
)
@click.argument("service", default="")
@client_command
def health(target: Target, service: str) -> int:
    """Ask a gateway whether it takes calls, by grpc.health.v1. Exit code 0: it does; 5: it does not, or is not there.

    SERVICE is one of its services. Without it the whole gateway is meant.
    """
    status = _status(target, service)
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(status)
    target.output.show({"status": name}, lambda terminal: terminal.line(name))
    return Exit.OK if status == _SERVING else Exit.UNREACHABLE


def _status(target: Target, service: str) -> int:
    address = target.address or DEFAULT_ADDRESS
    try:
        tls = target.tls or TLS.from_environment()
        channel = grpc.secure_channel(address, tls.credentials()) if tls else grpc.insecure_channel(address)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with channel:
        request = health_pb2.HealthCheckRequest(service=service)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(request, timeout=target.timeout or _TIMEOUT)
        except grpc.RpcError as error:
            raise CommandFailed(_problem(cast(grpc.Call, error), service, address)) from error
    return int(answer.status)


def _problem(error: grpc.Call, service: str, address: str) -> Problem:
    if error.code() is grpc.StatusCode.NOT_FOUND:
        return Problem("INVALID_REQUEST", f"{address} has no service {service}")
    known = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNIMPLEMENTED)
    code = error.code().name if error.code() in known else "INVALID_RESPONSE"
    return Problem(code, f"{address}: {error.details()}")
