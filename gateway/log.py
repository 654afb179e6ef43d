"""The gateway's log, on standard error: lines for people, or one JSON object a line."""

import json
import logging
import sys
from datetime import UTC, datetime

from gateway.config import LogSettings

_LABELS = ("app", "session_id", "worker_id", "call_id")
"""Fields that a record may carry beside its text."""

_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {9: "\t", 10: "\\n", 13: "\\r"}
"""Control characters as they are written in Python; a tab stays."""


class TextFormatter(logging.Formatter):
    """Lines of the form `TIME LEVEL LOGGER TEXT key=value ...`."""

    def format(self, record: logging.LogRecord) -> str:
        labels = "".join(f" {key}={value}" for key, value in _labels(record).items())
        # Texts of apps may be in it: none of them can look like an entry of its own.
        message = record.getMessage().translate(_VISIBLE)
        text = f"{_time(record)} {record.levelname:<7} {record.name} {message}{labels}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One object with time, level, logger, message, and whatever labels there are."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_labels(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(settings: LogSettings) -> None:
    """Send the log of the whole process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)


def _labels(record: logging.LogRecord) -> dict[str, str]:
    found = {label: getattr(record, label, "") for label in _LABELS}
    return {label: value for label, value in found.items() if value}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
