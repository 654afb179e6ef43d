"""What `sgw doctor` says of a gateway that answers, but not well."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2

from gateway.doctor.finding import Finding, Status
from gateway.doctor.live import Caller, live
from sessiongateway.v1 import sessions_pb2

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
Handler = Callable[[bytes, grpc.ServicerContext], bytes]


@contextmanager
def serving(**methods: Handler) -> Iterator[str]:
    """Serve these methods, by their names alone. Yields the address."""
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Methods(methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait(10)


class Methods(grpc.GenericRpcHandler):
    def __init__(self, methods: dict[str, Handler]) -> None:
        self._methods = methods

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        method = self._methods.get(handler_call_details.method.rpartition("/")[2])
        return None if method is None else grpc.unary_unary_rpc_method_handler(method)


def health(**down: int) -> Handler:
    """Say that all services are serving, but for these."""

    def check(request: bytes, _: grpc.ServicerContext) -> bytes:
        name = health_pb2.HealthCheckRequest.FromString(request).service.rpartition(".")[2]
        return health_pb2.HealthCheckResponse(status=down.get(name, SERVING)).SerializeToString()

    return check


def refusing(code: grpc.StatusCode) -> Handler:
    def refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, "no")

    return refuse


def no_sessions(_: bytes, __: grpc.ServicerContext) -> bytes:
    return sessions_pb2.ListSessionsResponse().SerializeToString()


def found_at(address: str, *, expected: bool = True) -> dict[str, Finding]:
    return {finding.check: finding for finding in live(Caller(address, expected))}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SGW_TLS", "SGW_TLS_CA", "SGW_TLS_CERT", "SGW_TLS_KEY", "SGW_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_a_gateway_that_is_well_is_told_so() -> None:
    with serving(Check=health(), ListSessions=no_sessions) as address:
        found = found_at(address)
    assert [found[name].status for name in ("gateway", "health", "authentication")] == [Status.OK] * 3
    assert found["clock"].status is Status.SKIPPED


def test_services_that_are_down_are_named() -> None:
    with serving(Check=health(SessionService=NOT_SERVING), ListSessions=no_sessions) as address:
        found = found_at(address)
    assert found["health"].status is Status.FAILED
    assert found["health"].message == "not serving: sessiongateway.v1.SessionService"
    assert found["authentication"].status is Status.OK


def test_a_server_without_health_is_told() -> None:
    with serving(ListSessions=no_sessions) as address:
        finding = found_at(address)["health"]
    assert finding.status is Status.FAILED
    assert "UNIMPLEMENTED" in finding.message


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "--api-key"),
        (grpc.StatusCode.PERMISSION_DENIED, "--api-key"),
        (grpc.StatusCode.INTERNAL, "log"),
    ],
)
def test_a_caller_who_is_not_let_in_is_told(code: grpc.StatusCode, word: str) -> None:
    with serving(Check=health(), ListSessions=refusing(code)) as address:
        found = found_at(address)
    assert found["authentication"].status is Status.FAILED
    assert code.name in found["authentication"].message
    assert word in found["authentication"].do
    assert ("--tls-cert" in found["authentication"].do) is (word != "log")
    assert found["clock"].status is Status.SKIPPED


def test_nothing_at_an_address_that_nobody_has_given_is_no_failure() -> None:
    assert {finding.status for finding in found_at("127.0.0.1:1", expected=False).values()} == {Status.SKIPPED}
    assert {finding.status for finding in found_at("127.0.0.1:0", expected=False).values()} == {Status.SKIPPED}
    assert found_at("127.0.0.1:1")["gateway"].status is Status.FAILED
