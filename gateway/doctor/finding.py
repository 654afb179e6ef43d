"""What a check has found."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    status: Status
    message: str
    """One line: what is so, or why it was not looked at."""
    do: str = ""
    """One line: how to mend it. Only with a warning or a failure."""


def ok(check: str, message: str) -> Finding:
    """Nothing is to be done."""
    return Finding(check, Status.OK, message)


def warning(check: str, message: str, do: str) -> Finding:
    """The gateway runs, but something will go wrong, or does not go as well as it could."""
    return Finding(check, Status.WARNING, message, do)


def failed(check: str, message: str, do: str) -> Finding:
    """The gateway does not start with it, or not all of it works."""
    return Finding(check, Status.FAILED, message, do)


def skipped(check: str, why: str) -> Finding:
    """It was not looked at."""
    return Finding(check, Status.SKIPPED, why)
