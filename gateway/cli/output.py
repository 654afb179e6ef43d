"""What commands write to standard output: tables for a person at a terminal, one JSON document for everybody else."""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from gateway.cli.terminal import Terminal


class Output:
    """Where a command's answer goes."""

    def __init__(self, *, as_json: bool) -> None:
        """JSON if it is asked for, or if standard output is no terminal."""
        self.asked_for_json = as_json
        self.for_people = not as_json and sys.stdout.isatty()

    def show(self, document: Mapping[str, Any], draw: "Callable[[Terminal], None]") -> None:
        """Write the document as JSON, or draw it."""
        if self.for_people:
            draw(_terminal())
        else:
            write_json(document)

    def show_event(self, document: Mapping[str, Any], draw: "Callable[[Terminal], None]") -> None:
        """Write one of many documents: as a line of JSON, or drawn."""
        if self.for_people:
            draw(_terminal())
        else:
            write_json(document, indent=None)


def _terminal() -> "Terminal":
    # Loading rich takes as long as a call; a pipe does not wait for it.
    from gateway.cli.terminal import Terminal  # noqa: PLC0415

    return Terminal()


def write_json(document: Any, *, to: Literal["stdout", "stderr"] = "stdout", indent: int | None = 2) -> None:
    """Write one JSON document and a line break, in UTF-8 whatever the locale says."""
    stream = (sys.stdout if to == "stdout" else sys.stderr).buffer
    stream.write(dumps(document, indent=indent).encode("utf-8") + b"\n")
    stream.flush()


def dumps(document: Any, *, indent: int | None = 2) -> str:
    """Return JSON text: integers exact, characters as they are, times as RFC 3339, durations in seconds."""
    text = json.dumps(document, ensure_ascii=False, indent=indent, default=_plain)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair is legal in JSON, but only when it is escaped.
        return json.dumps(document, indent=indent, default=_plain)
    return text


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, timedelta):
        return round(value.total_seconds(), 3)
    raise TypeError(f"{type(value).__name__} is not for JSON")


def rfc3339(moment: datetime) -> str:
    """Return an aware time as in 2025-01-31T12:00:00.250Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
