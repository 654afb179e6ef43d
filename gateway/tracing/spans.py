"""Spans by OpenTelemetry's SDK. Loaded only where calls are traced.

A call has up to three: the RPC's own, and below it `queue`, the wait for its turn or for a worker, and `worker`, for as
long as a worker has it. What the app does is a child of the last. Names and attributes are those of OpenTelemetry's
conventions for RPC, and `sessiongateway.*` for what they do not know. No input, output or message is in them.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from urllib.parse import urlsplit, urlunsplit

import grpc
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Tracer as SdkTracer

from gateway.rpc.traced import CallSpan
from gateway.timing import TRACE_EXPORT
from gateway.trace import TraceContext
from sessiongateway.v1 import sessions_pb2 as pb

SERVICE = "session-gateway"
VERSION = version("session-gateway")

_TRACES_PATH = "/v1/traces"
_OUR_FAULT = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""With these a server's span is an error, by the conventions; with the others the caller has made the mistake."""


class OtlpExporter:
    """An exporter of OpenTelemetry's. What it would log of its troubles is told once, by who asks it."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> bool:
        """Send a batch. See `export.Exporter`."""
        return self._exporter.export(spans) is SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Let go. See `export.Exporter`."""
        self._exporter.shutdown()


def exporter_for(endpoint: str) -> OtlpExporter:
    """Return what sends spans to an endpoint of the settings: gRPC for `grpc` and `grpcs`, HTTP for `http(s)`."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    url = urlsplit(endpoint)
    if url.scheme in ("grpc", "grpcs"):
        scheme = "http" if url.scheme == "grpc" else "https"
        address = urlunsplit((scheme, url.netloc, "", "", ""))
        return OtlpExporter(GrpcExporter(address, insecure=url.scheme == "grpc", timeout=TRACE_EXPORT))
    path = url.path if url.path.strip("/") else _TRACES_PATH
    return OtlpExporter(HttpExporter(urlunsplit(url._replace(path=path)), timeout=TRACE_EXPORT))


class _Finished(SpanProcessor):
    """Hands on spans that have ended and are to be sent."""

    def __init__(self, put: Callable[[ReadableSpan], object]) -> None:
        self._put = put

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._put(span)


class SpanTracer:
    """Begins the spans of RPCs. See `gateway.rpc.traced.Tracer`."""

    def __init__(self, put: Callable[[ReadableSpan], object], ratio: float, instance: str) -> None:
        """`put` takes finished spans. Of calls whose callers have not decided it, `ratio` are traced."""
        service = {
            "service.name": os.environ.get("OTEL_SERVICE_NAME", SERVICE),
            "service.version": VERSION,
            "service.instance.id": instance,
        }
        provider = TracerProvider(
            ParentBased(TraceIdRatioBased(ratio)), Resource.create(service), shutdown_on_exit=False
        )
        provider.add_span_processor(_Finished(put))
        self._tracer = provider.get_tracer("gateway", VERSION)

    def begin(self, method: str, request: pb.RunRequest, parent: TraceContext | None) -> "OtelCallSpan":
        """Begin a span. See `Tracer`."""
        attributes = {"rpc.system.name": "grpc", "rpc.method": method, "sessiongateway.app": request.app}
        if request.function:
            attributes["sessiongateway.function"] = request.function
        if request.session:
            attributes["sessiongateway.session.id"] = request.session
        span = self._tracer.start_span(method, _context_of(parent), SpanKind.SERVER, attributes)
        return OtelCallSpan(self._tracer, span, "" if parent is None else parent.baggage)


class OtelCallSpan(CallSpan):
    """The span of one RPC and those below it."""

    __slots__ = ("_began", "_given", "_span", "_tracer", "_worker")

    def __init__(self, tracer: SdkTracer, span: Span, baggage: str) -> None:
        super().__init__(*_texts_of(span), baggage)
        self._tracer = tracer
        self._span = span
        self._began = time.time_ns()
        self._given = 0
        self._worker: Span | None = None

    def at_worker(self, worker_id: str, app_version: str, call_id: str) -> TraceContext:
        """The wait is over: the app continues the span of the worker."""
        if not self._span.is_recording():  # it is not traced, or its caller has left
            return self
        self._given = time.time_ns()
        attributes = {"sessiongateway.call.id": call_id, "sessiongateway.app.version": app_version}
        self._span.set_attributes(attributes)
        self._worker = self._tracer.start_span(
            "worker",
            set_span_in_context(self._span, Context()),
            attributes={"sessiongateway.worker.id": worker_id},
            start_time=self._given,
        )
        return TraceContext(*_texts_of(self._worker), self.baggage)

    def answered(self, answer: pb.RunResponse) -> None:
        """End it. See `CallSpan`."""
        self._end(grpc.StatusCode.OK, answer.call_id, answer.session_id)

    def failed(self, status: grpc.StatusCode, code: str, *, call_id: str = "", session_id: str = "") -> None:
        """End it. See `CallSpan`."""
        if code:
            self._span.set_attribute("sessiongateway.code", code)
        if status in _OUR_FAULT:
            self._span.set_attribute("error.type", code or status.name)
            self._span.set_status(Status(StatusCode.ERROR, code))
        self._end(status, call_id, session_id)

    def _end(self, status: grpc.StatusCode, call_id: str, session_id: str) -> None:
        if not self._span.is_recording():
            return
        now = time.time_ns()
        waited = self._tracer.start_span("queue", set_span_in_context(self._span, Context()), start_time=self._began)
        waited.end(self._given or now)
        if self._worker is not None:
            self._worker.end(now)
        self._span.set_attribute("rpc.response.status_code", status.name)
        if call_id:
            self._span.set_attribute("sessiongateway.call.id", call_id)
        if session_id:
            self._span.set_attribute("sessiongateway.session.id", session_id)
        self._span.end(now)


def _context_of(parent: TraceContext | None) -> Context:
    """Return the context of a new span; never the one of whoever happens to run."""
    if parent is None or not parent.traceparent:
        return Context()
    _, trace, span, flags = parent.traceparent.split("-")
    state = TraceState.from_header([parent.tracestate]) if parent.tracestate else None
    remote = SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)), state)
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _texts_of(span: Span) -> tuple[str, str]:
    """Return the traceparent and tracestate of a span's children."""
    context = span.get_span_context()
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return parent, context.trace_state.to_header()
