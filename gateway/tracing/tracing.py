"""Traces of one gateway process: on when an endpoint is set."""

import importlib

from gateway.config import TracingSettings
from gateway.rpc.traced import Tracer
from gateway.tracing.export import Exporting


class CannotTrace(Exception):
    """Traces are asked for and cannot be made; the text says what to do."""


class Tracing:
    """Makes spans and sends them. Whoever calls `start` calls `close`."""

    def __init__(self, settings: TracingSettings, instance: str) -> None:
        """`instance` tells the processes of a gateway apart. Raises CannotTrace when OpenTelemetry is not installed."""
        try:
            # It takes some two hundred milliseconds and ten megabytes: not in a gateway whose calls nobody traces.
            spans = importlib.import_module("gateway.tracing.spans")
        except ImportError as error:
            raise CannotTrace(
                f"tracing.endpoint is set, and OpenTelemetry is not installed ({error}): "
                'pip install "session-gateway[tracing]"'
            ) from None
        self._exporting = Exporting(settings.endpoint, spans.exporter_for(settings.endpoint))
        self.tracer: Tracer = spans.SpanTracer(self._exporting.put, settings.sample_ratio, instance)

    def start(self) -> None:
        """Send what is put from now on."""
        self._exporting.start()

    async def close(self) -> None:
        """Send what is left, within a few seconds."""
        await self._exporting.close()
