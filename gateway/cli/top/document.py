"""The picture as one JSON document."""

from dataclasses import asdict
from typing import Any

from gateway.cli.top.order import Order
from gateway.cli.top.picture import Picture


def document_of(picture: Picture, address: str, order: Order) -> dict[str, Any]:
    """Return everything that is known, with null for what is not. Durations and latencies are in seconds."""
    return {
        "address": address,
        "interval": round(picture.seconds, 3),
        "gateway": _rounded(asdict(picture.head)),
        "apps": [_rounded(asdict(row)) for row in picture.apps],
        "sessions": [_session(asdict(row)) for row in order.sort(picture.sessions)],
        "more": picture.more,
        "notes": list(picture.notes),
    }


def _session(fields: dict[str, Any]) -> dict[str, Any]:
    fields["worker_id"] = fields.pop("worker")
    return _rounded({"session_id": fields.pop("id"), **fields})


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in fields.items()}
