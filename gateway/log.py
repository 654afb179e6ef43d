"""The gateway's log, on standard error: lines for people, or one JSON object a line."""

import json
import logging
import sys
from datetime import UTC, datetime

from gateway.config import LogSettings

_LABELS = ("app", "session_id", "worker_id", "call_id", "trace_id")
"""Fields that a record may carry beside its text."""

_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {9: "\t", 10: "\\n", 13: "\\r"}
"""Control characters as they are written in Python; a tab stays."""


class TextFormatter(logging.Formatter):
    """Lines of the form `TIME LEVEL LOGGER TEXT key=value ...`."""

    def __init__(self, process: int | None = None) -> None:
        """`process` is the number of the gateway process, where there are several."""
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        labels = "".join(f" {key}={value}" for key, value in _labels(record, self._process).items())
        # Texts of apps may be in it: none of them can look like an entry of its own.
        message = record.getMessage().translate(_VISIBLE)
        text = f"{_time(record)} {record.levelname:<7} {record.name} {message}{labels}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One object with time, level, logger, message, and whatever labels there are."""

    def __init__(self, process: int | None = None) -> None:
        """`process` is the number of the gateway process, where there are several."""
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_labels(record, self._process),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(settings: LogSettings, process: int | None = None) -> None:
    """Send the log of the whole process to standard error, with its number where there are several."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if settings.format == "json" else TextFormatter(process))
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)


def _labels(record: logging.LogRecord, process: int | None) -> dict[str, str | int]:
    found: dict[str, str | int] = {label: value for label in _LABELS if (value := getattr(record, label, ""))}
    if process is not None:
        found["process"] = process  # not the record's, which is the system's number
    return found


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
