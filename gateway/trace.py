"""The trace that a call is part of: what its caller sent of it, checked, to be passed on.

The rules are those of https://www.w3.org/TR/trace-context/ and https://www.w3.org/TR/baggage/.
"""

import re
from collections.abc import Iterable
from typing import Self

TRACEPARENT, TRACESTATE, BAGGAGE = "traceparent", "tracestate", "baggage"
_KEYS = frozenset({TRACEPARENT, TRACESTATE, BAGGAGE})

MAX_STATE_MEMBERS = 32
MAX_LENGTH = 8192
"""Of a tracestate or baggage, in characters: as much as everybody must pass on of the latter. More is not passed on."""

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_*/-]{0,255}(?:@[a-z][a-z0-9_*/-]{0,13})?)"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]",
    re.ASCII,
)
_VISIBLE = re.compile(r"[\x20-\x7e]+", re.ASCII)
_VERSION, _NO_VERSION = "00", "ff"
_KNOWN_FLAGS = 0x03
"""Sampled, and made of a random number."""


class TraceContext:
    """Where a call stands in a trace. Each text is empty where there is none."""

    __slots__ = ("baggage", "traceparent", "tracestate")

    def __init__(self, traceparent: str, tracestate: str = "", baggage: str = "") -> None:
        self.traceparent = traceparent
        self.tracestate = tracestate
        self.baggage = baggage

    @property
    def trace_id(self) -> str:
        """The id of the trace, as it stands in `traceparent`."""
        return self.traceparent[3:35]

    def at_worker(self, worker_id: str, app_version: str, call_id: str) -> "TraceContext":
        """Hear which worker, of which version of the app, is given the call, and return what the app is told."""
        return self

    def pack(self) -> bytes:
        """Return it in one piece."""
        return f"{self.traceparent}\n{self.tracestate}\n{self.baggage}".encode()

    @classmethod
    def unpack(cls, packed: bytes) -> Self | None:
        """Return what was packed, None for nothing."""
        return cls(*packed.decode().split("\n")) if packed else None


def trace_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> TraceContext | None:
    """Return what the metadata of a request say of a trace, None for nothing. What is malformed was never sent."""
    for key, _ in metadata or ():
        if key in _KEYS:
            return _read(metadata or ())
    return None


def _read(metadata: Iterable[tuple[str, str | bytes]]) -> TraceContext | None:
    values: dict[str, list[str]] = {key: [] for key in _KEYS}
    for key, value in metadata:
        if key in _KEYS and isinstance(value, str):
            values[key].append(value)
    parent = _parent(values[TRACEPARENT])
    state = _state(",".join(values[TRACESTATE])) if parent else ""
    baggage = ",".join(values[BAGGAGE])
    if len(baggage) > MAX_LENGTH or not _VISIBLE.fullmatch(baggage):
        baggage = ""
    return TraceContext(parent, state, baggage) if parent or baggage else None


def _parent(values: list[str]) -> str:
    """Return the one traceparent in the form of the version that is known here, empty when there is none."""
    found = _PARENT.fullmatch(values[0].strip(" \t")) if len(values) == 1 else None
    if found is None:
        return ""
    version, trace, span, flags, more = found.groups()
    if version == _NO_VERSION or (version == _VERSION and more) or not trace.strip("0") or not span.strip("0"):
        return ""
    # Of a later version only the fields are known that this one has.
    known = flags if version == _VERSION else f"{int(flags, 16) & _KNOWN_FLAGS:02x}"
    return f"{_VERSION}-{trace}-{span}-{known}"


def _state(text: str) -> str:
    if len(text) > MAX_LENGTH:
        return ""
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in found if match is not None}
    # All or nothing: a list with a wrong member, or one that is there twice, says nothing for certain.
    return ",".join(members) if len(keys) == len(members) <= MAX_STATE_MEMBERS else ""
