"""Everything that can go wrong in `sgw`, in one shape, for people and for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from gateway.cli.advice import RUN_STATES, Advice, advice_for
from gateway.cli.exits import Exit
from gateway.cli.output import write_json
from gateway.cli.text import colour, visible
from sessiongateway import AppError, AppStartFailedError, SessionGatewayError

_FACTS = ("session_id", "call_id", "end_reason", "worker_exit", "session_app", "requested_app", "retry_after")

_SAY_SO_THEMSELVES = ("SESSION_ENDED", "SESSION_EXPIRED", "WORKER_LOST")
"""Codes whose text tells that the session is over."""


class CommandFailed(Exception):
    """A command cannot do its work. Raised anywhere in the commands, told in one place."""

    def __init__(self, problem: "Problem") -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Problem:
    """One failure."""

    code: str
    message: str
    run_state: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    """Each wrong field with what is wrong with it."""
    failure: tuple[str, str, str] | None = None
    """Type, message and traceback of what the app raised."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else a program may want: session_id, call_id, retry_after and the like. No empty values."""
    meaning: str = ""
    do: str = ""
    """What is known better in this case than what the table says about the code."""

    @property
    def exit(self) -> Exit:
        """The exit code of a command that ends with it."""
        return advice_for(self.code).exit

    @property
    def advice(self) -> Advice:
        """What it means and what to do about it."""
        known = advice_for(self.code, self.failure[0] if self.failure else "")
        return Advice(self.meaning or known.meaning, self.do or known.do, known.exit)

    def document(self) -> dict[str, Any]:
        """Return it for programs, with the advice."""
        advice = self.advice
        told = {"code": self.code, "message": self.message, "meaning": advice.meaning, "do": advice.do}
        return {**told, **self.bare_document(), "exit_code": int(self.exit)}

    def bare_document(self) -> dict[str, Any]:
        """Return what is known of this failure."""
        document: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.run_state is not None:
            document["run_state"] = self.run_state
        if self.fields:
            document["fields"] = [{"field": name, "description": what} for name, what in self.fields]
        if self.failure is not None:
            document["app_failure"] = dict(zip(("type", "message", "traceback"), self.failure, strict=True))
        return {**document, **self.facts}


def of_gateway(error: SessionGatewayError) -> Problem:
    """Return what the SDK raised."""
    facts = {name: value for name in _FACTS if (value := getattr(error, name)) is not None}
    if error_id := getattr(error, "error_id", ""):
        facts["error_id"] = error_id
    failure = None
    if isinstance(error, AppError | AppStartFailedError):
        failure = (error.type, error.app_message, error.traceback)
    return Problem(
        code=error.code,
        message=error.message,
        run_state=error.run_state,
        fields=tuple(error.field_violations),
        failure=failure,
        facts=facts,
    )


def report(problem: Problem, *, as_json: bool) -> None:
    """Write it to standard error."""
    if as_json:
        write_json({"error": problem.document()}, to="stderr")
        return
    for line in _lines(problem):
        click.echo(line, err=True, color=colour())


def _lines(problem: Problem) -> Iterator[str]:
    advice = problem.advice
    yield f"{click.style('error:', fg='red', bold=True)} {click.style(problem.code, bold=True)}"
    for name, what in problem.fields:
        yield _indented(f"{name}: {what}")
    if problem.message and not problem.fields:
        yield _indented(problem.message)
    yield ""
    yield _indented(advice.meaning)
    if advice.do:
        yield _indented(advice.do)
    if problem.run_state is not None:
        yield _indented(RUN_STATES.get(problem.run_state, f"Run state: {problem.run_state}."))
    if wait := problem.facts.get("retry_after"):
        yield _indented(f"Wait {wait:g} s before sending it again.")
    if (reason := problem.facts.get("end_reason")) and problem.code not in _SAY_SO_THEMSELVES:
        yield _indented(f"The session has ended with it ({str(reason).replace('_', ' ')}).")
    yield from _failure_lines(problem)
    known = [f"{name} {problem.facts[name]}" for name in ("session_id", "call_id", "error_id") if name in problem.facts]
    if known:
        yield click.style(_indented(", ".join(known)), dim=True)


def _failure_lines(problem: Problem) -> Iterator[str]:
    if problem.failure is None:
        return
    kind, message, traceback = problem.failure
    yield ""
    yield _indented((traceback or f"{kind}: {message}").rstrip())


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in visible(text).splitlines())
