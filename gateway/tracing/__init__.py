"""Spans of calls, for whoever collects traces by OTLP. OpenTelemetry is loaded only where that is asked for."""
