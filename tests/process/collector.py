"""A collector of spans: what a gateway sends by OTLP, over gRPC and over HTTP."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import add_TraceServiceServicer_to_server
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.process.observe import eventually


class Collected:
    """The spans that have come."""

    def __init__(self, endpoint: str = "") -> None:
        self.endpoint = endpoint
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        """That of each span."""
        self.requests = 0
        self.metadata: dict[str, str] = {}

    async def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:
        """TraceService.Export."""
        self.requests += 1
        if context is not None:
            self.metadata |= {
                key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)
            }
        for group in request.resource_spans:
            for scope in group.scope_spans:
                self.spans += scope.spans
                self.resources += [attributes(group.resource)] * len(scope.spans)
        return ExportTraceServiceResponse()

    def named(self, name: str) -> list[Span]:
        """Return the spans of that name."""
        return [span for span in self.spans if span.name == name]

    def below(self, parent: Span) -> dict[str, Span]:
        """Return the children of a span, by name."""
        return {span.name: span for span in self.spans if span.parent_span_id == parent.span_id}

    async def some(self, name: str, count: int = 1) -> list[Span]:
        """Wait for so many spans of that name, and return them."""
        await eventually(f"{count} spans {name}", lambda: len(self.named(name)) >= count)
        return self.named(name)


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span or a resource."""
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in of.attributes}


@asynccontextmanager
async def collecting(port: int = 0, credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[Collected]:
    """Collect over gRPC for as long as the context lasts, with `credentials` over TLS."""
    collected, server = Collected(), grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_TraceServiceServicer_to_server(collected, server)  # type: ignore[no-untyped-call]
    if credentials is None:
        collected.endpoint = f"grpc://127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    else:
        collected.endpoint = f"grpcs://localhost:{server.add_secure_port('127.0.0.1:0', credentials)}"
    await server.start()
    try:
        yield collected
    finally:
        await server.stop(0)


@asynccontextmanager
async def collecting_http() -> AsyncIterator[Collected]:
    """Collect over HTTP for as long as the context lasts."""
    collected = Collected()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(fields["content-length"]))
                if fields.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert head[0] == "POST /v1/traces HTTP/1.1"
                answer = await collected.Export(ExportTraceServiceRequest.FromString(body), None)
                data = answer.SerializeToString()
                kind = "content-type: application/x-protobuf"
                writer.write(f"HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    collected.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield collected
    finally:
        server.close()
        await asyncio.gather(*serving)  # each ends with the gateway's connection
