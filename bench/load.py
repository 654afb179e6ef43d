"""Drives the load generator: a plan in, a report out, and no figure from a run with a single wrong answer.

The generator is the Go program in bench/load. It checks the grpc-status and the content of each answer.
"""

import base64
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

RUN = "/sessiongateway.v1.SessionService/Run"
STREAM_KEEPALIVE = "/sessiongateway.v1.SessionService/StreamKeepalive"

_PATIENCE = 300.0
"""Seconds for one run as a whole; the generator itself gives up `timeout` seconds after the last answer."""


class WrongAnswers(Exception):
    """Answers were wrong or missing: the run gives no figure. The text says which and how many."""


@dataclass(frozen=True)
class Opening:
    """What a slot sends once, first, over its own connection. Its answer must be right as well, and tells what stands
    in for the placeholder in all other requests of the slot. The run gives no figure when it does not.
    """

    request: bytes
    placeholder: bytes
    """Of the slot's request, where it occurs once; as long as what takes its place."""
    after: bytes
    """What stands right before that in the answer."""

    def as_json(self) -> dict[str, str]:
        """Return the opening as the generator reads it."""
        fields = {"request": self.request, "placeholder": self.placeholder, "after": self.after}
        return {name: _base64(data) for name, data in fields.items()}


@dataclass(frozen=True)
class Slot:
    """What is sent again and again, one at a time, and what each answer must have in it."""

    request: bytes
    contains: bytes
    begins: bytes = b""
    """How each answer begins."""
    opening: Opening | None = None
    """Only for unary calls. It comes before the warm-up."""

    def as_json(self) -> dict[str, Any]:
        """Return the slot as the generator reads it."""
        slot = {
            "request": _base64(self.request),
            "contains": _base64(self.contains),
            "begins": _base64(self.begins),
        }
        return slot if self.opening is None else {**slot, "opening": self.opening.as_json()}


@dataclass(frozen=True)
class Plan:
    """One run. Either `requests` (closed loop: each slot sends when its last is answered) or `rate` and `seconds`
    (open loop: requests per second, each measured from the moment when it was due).
    """

    target: str
    slots: Sequence[Slot]
    path: str = RUN
    kind: Literal["unary", "bidi"] = "unary"
    connections: int = 4
    requests: int | None = None
    rate: float | None = None
    seconds: float | None = None
    in_flight: int | None = None
    """Of a closed loop of unary calls: so many at a time, and the slots of each connection take turns with them. None:
    each slot has one.
    """
    window: int = 16
    """Messages in flight per stream."""
    answers_per_message: int = 1
    joined: bool = False
    """A message answers as many times as it has the slot's `contains` in it, rather than once."""
    warmup: int = 0
    timeout: float = 30.0

    def as_json(self) -> dict[str, Any]:
        """Return the plan as the generator reads it. Raises ValueError when it is neither or both kinds of loop."""
        if (self.requests is None) == (self.rate is None) or (self.rate is None) != (self.seconds is None):
            raise ValueError("a plan has either requests, or rate and seconds")
        if not self.slots:
            raise ValueError("a plan has at least one slot")
        plan: dict[str, Any] = {
            "target": self.target,
            "connections": min(self.connections, len(self.slots)),
            "path": self.path,
            "kind": self.kind,
            "slots": [slot.as_json() for slot in self.slots],
            "warmup": self.warmup,
            "timeout": self.timeout,
        }
        loop = {"requests": self.requests} if self.rate is None else {"rate": self.rate, "seconds": self.seconds}
        stream = {"window": self.window, "answers_per_message": self.answers_per_message, "joined": self.joined}
        turns = {} if self.in_flight is None else {"in_flight": self.in_flight}
        return plan | loop | turns | (stream if self.kind == "bidi" else {})


@dataclass(frozen=True)
class Report:
    """What came of a run whose answers were all right. `latency_ms` has min, mean, p50, p90, p99, p999 and max."""

    answers: int
    seconds: float
    rate: float
    """Answers per second."""
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    """Of the generator itself."""


class LoadGenerator:
    """The program in bench/load, already built."""

    def __init__(self, program: Path, launcher: Sequence[str] = ()) -> None:
        """`launcher` is a command that becomes the one that follows it, such as one that enters a namespace first."""
        self._program = program
        self._launcher = launcher

    def launched_by(self, launcher: Sequence[str]) -> "LoadGenerator":
        """Return the same program, launched by this command."""
        return LoadGenerator(self._program, launcher)

    def run(self, plan: Plan) -> Report:
        """Play a plan. Raises WrongAnswers unless each answer was right."""
        done = subprocess.run(
            [*self._launcher, str(self._program)],
            input=json.dumps(plan.as_json()),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        return report_of(done.returncode, done.stdout, done.stderr)


def report_of(code: int, output: str, complaint: str) -> Report:
    """Return what the generator reported. Raises WrongAnswers unless each answer was right."""
    try:
        report = json.loads(output)
    except ValueError:
        raise WrongAnswers(f"the load generator ended with {code}: {complaint.strip()}") from None
    if code != 0 or report["errors"] or not report["answers"]:
        raise WrongAnswers(f"{report['answers']} answers, and these were wrong: {report['errors']} {complaint.strip()}")
    return Report(
        report["answers"], report["seconds"], report["rate"], report["latency_ms"], report.get("cpu_seconds", 0.0)
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
