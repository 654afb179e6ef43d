"""The trace of a call: from its caller through the gateway into the app, and to a collector."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.trace import TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.rpc.transports import MISSING
from gateway.share import Share
from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from gateway.testing.waiting import until
from tests.process.collector import Collected, attributes, collecting, collecting_http
from tests.process.observe import DEADLINE, eventually
from tests.scenarios.client import Answer, Client, connected
from tests.scenarios.failures import refused
from tests.tls.authority import Authority

TRACED = {"traced": Path(__file__).parent.parent / "apps" / "traced"}
FEW = ("--min-idle", "0")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
SENT = (("traceparent", PARENT), ("tracestate", "a=1,b@c=2"), ("baggage", "tenant=blue"))
RUN, RUN_STREAM = "sessiongateway.v1.SessionService/Run", "sessiongateway.v1.SessionService/RunStream"
TRANSPORTS = [
    "grpcio",
    pytest.param("nghttp2", marks=pytest.mark.skipif(MISSING is not None, reason=f"not built: {MISSING}")),
]


@asynccontextmanager
async def sending(gateway: GatewayProcess, *metadata: tuple[str, str]) -> AsyncIterator[Client]:
    """Yield a client each of whose calls carries the metadata."""
    async with connected(gateway.address, app="traced") as client:
        client.metadata = metadata  # type: ignore[assignment]  # any pairs will do
        yield client


def tracing_to(collected: Collected, data_dir: Path, flags: Sequence[str] = FEW, **more: str) -> GatewayProcess:
    environment = {"SGW_TRACING_ENDPOINT": collected.endpoint, **more}
    return GatewayProcess(data_dir, TRACED, flags, environment=environment)


def context(traceparent: str | None) -> tuple[str, str]:
    """Return the ids of the trace and of the span, as an app would read them."""
    span = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": traceparent or ""}))
    found = span.get_span_context()
    return f"{found.trace_id:032x}", f"{found.span_id:016x}"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_app_sees_the_trace_of_its_caller_in_calls_of_every_kind(data_dir: Path, transport: str) -> None:
    with GatewayProcess(data_dir, TRACED, FEW, environment={"SGW_SERVER_TRANSPORT": transport}) as gateway:
        sent = {"traceparent": PARENT, "tracestate": "a=1,b@c=2", "baggage": "tenant=blue"}
        async with sending(gateway, *SENT) as client:
            opened = await client.new()
            plain = await client.run()
            again = await client.run(session=opened.id, request_id="once")
            parts = await client.stream("steps", session=opened.id).rest()
            for told in (opened, plain, again, *parts):
                output = told.output if isinstance(told, Answer) else told
                assert {key: output[key] for key in sent} == sent
        async with sending(gateway) as client:
            for answer in (await client.run(), await client.run(session=opened.id)):
                assert [answer.output[key] for key in sent] == [None, None, None]


@pytest.mark.parametrize("collector", [collecting, collecting_http])
async def test_each_call_is_a_span_below_that_of_its_caller_and_above_those_of_the_app(
    data_dir: Path, collector: Any
) -> None:
    async with collector() as collected:
        with tracing_to(collected, data_dir) as gateway:
            async with sending(gateway, *SENT) as client:
                opened = await client.new()
                streamed = await client.stream("steps", session=opened.id).result()
            (run,) = await collected.some(RUN)
            (stream,) = await collected.some(RUN_STREAM)
            await collected.some("worker", 2)
    for span, answer in ((run, opened), (stream, streamed)):
        assert (span.trace_id.hex(), span.parent_span_id.hex(), span.kind) == (TRACE, SPAN, Span.SPAN_KIND_SERVER)
        assert span.trace_state == "a=1,b@c=2"
        below = collected.below(span)
        assert set(below) == {"queue", "worker"}
        assert span.start_time_unix_nano <= below["queue"].start_time_unix_nano
        assert below["queue"].end_time_unix_nano == below["worker"].start_time_unix_nano
        assert below["worker"].end_time_unix_nano == span.end_time_unix_nano
        assert context(answer.output["traceparent"]) == (TRACE, below["worker"].span_id.hex())
        assert answer.output["tracestate"] == "a=1,b@c=2"
        assert answer.output["baggage"] == "tenant=blue"
        found = attributes(span)
        assert found["rpc.system.name"] == "grpc"
        assert found["rpc.response.status_code"] == "OK"
        assert found["sessiongateway.app"] == "traced"
        assert found["sessiongateway.app.version"] == opened.session.version
        assert found["sessiongateway.session.id"] == opened.id
        assert found["sessiongateway.call.id"] == answer.response.call_id
        assert span.status.code == Status.STATUS_CODE_UNSET
    assert collected.resources[0]["service.name"] == "session-gateway"


async def test_a_call_that_fails_says_in_its_span_with_which_code_and_nothing_of_its_words(data_dir: Path) -> None:
    async with collecting() as collected:
        with tracing_to(collected, data_dir) as gateway:
            async with sending(gateway) as client:
                await refused(client.run("fail", {"text": "secret words"}), "APP_ERROR", "COMPLETED")
                await refused(client.run(session="sess_unknown"), "SESSION_NOT_FOUND", "NOT_STARTED")
                await refused(client.run(session_timeout=0, session="new"), "INVALID_REQUEST", "NOT_STARTED")
                with pytest.raises(Exception, match="APP_ERROR"):
                    await client.stream("fail", {"text": "secret words"}).rest()
            spans = [*await collected.some(RUN, 3), *await collected.some(RUN_STREAM)]
    by_code = {attributes(span)["sessiongateway.code"]: span for span in spans}
    assert set(by_code) == {"APP_ERROR", "SESSION_NOT_FOUND", "INVALID_REQUEST"}
    assert attributes(by_code["APP_ERROR"])["rpc.response.status_code"] == "UNKNOWN"
    assert by_code["APP_ERROR"].status.code == Status.STATUS_CODE_ERROR
    assert by_code["SESSION_NOT_FOUND"].status.code == Status.STATUS_CODE_UNSET
    assert set(collected.below(by_code["SESSION_NOT_FOUND"])) == {"queue"}
    assert "secret" not in str(collected.spans)


async def test_a_caller_that_leaves_ends_its_span_as_cancelled(data_dir: Path, gate: Gate) -> None:
    async with collecting() as collected:
        with tracing_to(collected, data_dir) as gateway:
            async with sending(gateway) as client:
                call = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "in"}))
                await gate.arrival()
                call.cancel()
                (span,) = await collected.some(RUN)
    assert attributes(span)["rpc.response.status_code"] == "CANCELLED"
    assert set(collected.below(span)) == {"queue", "worker"}


async def test_of_callers_that_decide_nothing_as_many_are_traced_as_the_setting_says(data_dir: Path) -> None:
    async with collecting() as collected:
        with tracing_to(collected, data_dir, SGW_TRACING_SAMPLE_RATIO="0") as gateway:
            async with sending(gateway) as client:
                unsampled = await client.run()
            async with sending(gateway, ("traceparent", PARENT)) as client:
                await client.run()
                await collected.some(RUN)
            async with sending(gateway, ("traceparent", PARENT[:-2] + "00")) as client:
                told = await client.run()
    assert [span.trace_id.hex() for span in collected.named(RUN)] == [TRACE]
    assert int(unsampled.output["traceparent"][-2:], 16) & TraceFlags.SAMPLED == 0
    assert told.output["traceparent"].startswith(f"00-{TRACE}-")
    assert told.output["traceparent"].endswith("-00")


async def test_spans_that_have_not_been_sent_yet_are_sent_at_the_end(data_dir: Path) -> None:
    async with collecting() as collected:
        with tracing_to(collected, data_dir) as gateway:
            async with sending(gateway) as client:
                for _ in range(5):
                    await client.run()
            await asyncio.to_thread(gateway.stop)
        assert len(collected.named(RUN)) == 5
        assert "were lost" not in gateway.log


async def test_a_collector_that_is_down_costs_one_line_and_gets_spans_when_it_is_back(data_dir: Path) -> None:
    async with collecting() as collected:
        port = int(collected.endpoint.rpartition(":")[2])
    with tracing_to(collected, data_dir) as gateway:
        async with sending(gateway) as client:
            await client.run()
            await eventually("the complaint", lambda: "does not take spans" in gateway.log)
            await client.run()
            async with collecting(port) as back:
                async with asyncio.timeout(DEADLINE):
                    while "takes spans again" not in gateway.log:
                        await client.run()
                        await settled(gateway)
                await back.some(RUN)
                await asyncio.to_thread(gateway.stop)
    assert gateway.log.count("does not take spans") == 1
    assert "Traceback" not in gateway.log


async def test_spans_go_over_tls_with_the_headers_of_opentelemetrys_own_variables(
    data_dir: Path, tmp_path: Path
) -> None:
    authority = Authority()
    server = authority.server()
    credentials = grpc.ssl_server_credentials([(server.key, server.certificate)])
    own = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.in_file(tmp_path, "ca"))}
    own |= {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=collector", "OTEL_SERVICE_NAME": "front"}
    async with collecting(credentials=credentials) as collected:
        with tracing_to(collected, data_dir, **own) as gateway:
            async with sending(gateway) as client:
                await client.run()
            await collected.some(RUN)
    assert collected.metadata["x-key"] == "collector"
    assert collected.resources[0]["service.name"] == "front"


async def settled(gateway: GatewayProcess) -> None:
    """Give the gateway time to send what there is."""
    with suppress(TimeoutError):
        await until(lambda: "takes spans again" in gateway.log, 0.2)


@pytest.mark.parametrize("traced", [False, True])
async def test_opentelemetry_is_loaded_only_where_calls_are_traced(data_dir: Path, traced: bool) -> None:
    async with collecting() as collected:
        collected.endpoint = collected.endpoint if traced else ""
        with tracing_to(collected, data_dir, PYTHONPROFILEIMPORTTIME="1") as gateway:
            async with sending(gateway, *SENT) as client:
                await client.new()
            await asyncio.to_thread(gateway.stop)
    loaded = {line.rpartition("|")[2].strip() for line in gateway.log.splitlines() if line.startswith("import time:")}
    assert "gateway.rpc.services" in loaded
    assert traced is ("opentelemetry.sdk.trace" in loaded)
    assert traced is any(name.startswith("opentelemetry") for name in loaded)


async def test_a_gateway_that_is_to_trace_and_cannot_says_what_to_install(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("raise ModuleNotFoundError('not here')")
    with (
        pytest.raises(RuntimeError, match=r'pip install "session-gateway\[tracing\]"'),
        tracing_to(Collected("grpc://127.0.0.1:4317"), data_dir, PYTHONPATH=str(tmp_path)),
    ):
        pass


@pytest.mark.parametrize("traced", [False, True])
async def test_a_request_that_another_process_answers_keeps_its_trace(data_dir: Path, traced: bool) -> None:
    async with collecting() as collected:
        collected.endpoint = collected.endpoint if traced else ""
        with tracing_to(collected, data_dir, ("--processes", "2", "--min-idle", "1")) as gateway:
            async with sending(gateway, *SENT) as client:
                sessions: dict[int, str] = {}
                while len(sessions) < 2:  # one connection is one process; ids with a key are spread over both
                    opened = await client.new(request_id=f"key{len(sessions)}{id(object())}")
                    sessions[Share(0, 2).owner(opened.id)] = opened.id
                answers = [await client.run(session=session) for session in sessions.values()]
                answers += [await client.stream("steps", session=session).result() for session in sessions.values()]
            if traced:
                await collected.some(RUN_STREAM, 2)
                await eventually("spans of both processes", lambda: len(processes(collected)) == 2)
    for answer in answers:
        trace, span = context(answer.output["traceparent"])
        assert (trace, answer.output["baggage"]) == (TRACE, "tenant=blue")
        assert traced is (span != SPAN)
    assert {span.parent_span_id.hex() for span in (*collected.named(RUN), *collected.named(RUN_STREAM))} <= {SPAN}


def processes(collected: Collected) -> set[str]:
    return {resource["service.instance.id"] for resource in collected.resources}


async def test_the_log_of_a_call_that_failed_has_its_call_and_its_trace(data_dir: Path) -> None:
    with GatewayProcess(data_dir, TRACED, (*FEW, "--log-format", "json")) as gateway:
        async with sending(gateway, *SENT) as client:
            failed = await refused(client.run("fail", {"text": "as asked"}), "APP_ERROR", "COMPLETED")
        await eventually("the line", lambda: "Run failed" in gateway.log)
        (line,) = [json.loads(line) for line in gateway.log.splitlines() if "Run failed" in line]
    assert line["call_id"] == failed.detail.call_id
    assert line["trace_id"] == TRACE
