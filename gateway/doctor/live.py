"""A gateway that runs: whether it is reached, healthy, lets this caller in, and has the same time."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import grpc
from grpc_health.v1 import health_pb2

import sessiongateway
from gateway.doctor.finding import Finding, failed, ok, skipped, warning
from gateway.doctor.reach import Files, Reach, reach
from gateway.timing import DOCTOR_REQUEST

_SERVICES = ("", "sessiongateway.v1.SessionService", "sessiongateway.v1.AppService")

_SKEW = timedelta(seconds=5)
"""What people do not notice when they compare two logs."""

_UNASKED = (Reach.REFUSED, Reach.WANTS_TLS, Reach.WANTS_CERTIFICATE)
"""What is no fault where nobody has said that there is a gateway, nor how it is called."""

_CHECKS = ("health", "authentication", "clock")


@dataclass(frozen=True, slots=True)
class Caller:
    """How the gateway is called."""

    address: str
    expected: bool
    """Whether somebody has said that there is a gateway."""
    api_key: str | None = None
    tls: sessiongateway.TLS | None = None


def live(caller: Caller) -> Iterator[Finding]:
    """Yield what there is to say about the gateway at the address."""
    tls = caller.tls
    outcome = reach(caller.address, None if tls is None else Files(tls.ca, tls.cert, tls.key))
    if not caller.expected and (outcome.reach in _UNASKED or caller.address.endswith(":0")):
        yield skipped("gateway", f"{outcome.message}; name one with --address, and what it wants of a client")
    elif outcome.reach not in (Reach.OK, Reach.NOT_TRIED):
        yield failed("gateway", outcome.message, outcome.do)
    else:
        yield ok("gateway", f"{caller.address}: {outcome.message}")
        yield from _healthy(caller)
        yield from _asked(caller)
        return
    for check in _CHECKS:
        yield skipped(check, "no gateway was reached")


def _healthy(caller: Caller) -> Iterator[Finding]:
    with contextlib.closing(_channel(caller)) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        down = []
        for service in _SERVICES:
            try:
                answer = check(health_pb2.HealthCheckRequest(service=service), timeout=DOCTOR_REQUEST)
            except grpc.RpcError as error:
                code = cast("grpc.Call", error).code().name
                do = "Check the address: what listens there may be no Session Gateway."
                yield failed("health", f"{service or 'the gateway'}: {code}", do)
                return
            if answer.status != health_pb2.HealthCheckResponse.SERVING:
                down.append(service or "the gateway")
    if down:
        do = "It is starting, draining, or its store has failed: the gateway's log says which."
        yield failed("health", f"not serving: {', '.join(down)}", do)
    else:
        yield ok("health", "all services are serving")


def _channel(caller: Caller) -> grpc.Channel:
    options = [("grpc.enable_http_proxy", 0)]
    if caller.tls is None:
        return grpc.insecure_channel(caller.address, options)
    return grpc.secure_channel(caller.address, caller.tls.credentials(), options)


def _asked(caller: Caller) -> Iterator[Finding]:
    try:
        with sessiongateway.Inference(caller.api_key, caller.address, DOCTOR_REQUEST, tls=caller.tls) as client:
            asked = datetime.now(UTC)
            found = next(iter(client.sessions.list("active", page_size=1)), None)
            answered = datetime.now(UTC)
    except sessiongateway.SessionGatewayError as error:
        do = (
            "Give a key or token that may read sessions (--api-key, SGW_API_KEY); or, where the gateway knows callers "
            "by certificates, one of those (--tls-cert, --tls-key) and no key."
        )
        refused = error.code in ("UNAUTHENTICATED", "PERMISSION_DENIED")  # also by a proxy, with a bare status
        yield failed(
            "authentication", f"{error.code}: {error.message}", do if refused else "Look at the gateway's log."
        )
        yield skipped("clock", "the gateway has not answered")
    else:
        yield ok("authentication", "sessions may be listed")
        yield clock(found, asked, answered)


def clock(session: sessiongateway.SessionInfo | None, asked: datetime, answered: datetime) -> Finding:
    """Whether both clocks agree, as far as the time that it took lets one say. A session tells the gateway's."""
    if session is None or session.expires_at is None or session.expires_in is None:
        return skipped("clock", "only an active session of this caller tells the gateway's time")
    there = session.expires_at - session.expires_in
    ahead = max(there - answered, asked - there, timedelta())
    if ahead > _SKEW:
        do = "Set both clocks by NTP: times in answers and logs cannot be compared. Sessions do not depend on it."
        return warning("clock", f"the clocks differ by {ahead.total_seconds():.0f} s", do)
    return ok("clock", "both clocks agree")
