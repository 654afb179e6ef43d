"""The scenarios as they stand in clients/conformance/scenarios, read and checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tools.paths import ROOT

FOLDER = ROOT / "clients" / "conformance"

OPERATIONS = frozenset(
    {
        *("connect", "close", "run", "cancel", "get", "keepalive", "end", "list", "get_app", "list_apps", "raw_run"),
        *("stream_open", "stream_next", "stream_close"),
        *("watch_open", "watch_next", "watch_close"),
        *("keepalive_open", "keepalive_next", "keepalive_close"),
        *("handle_open", "handle_call", "handle_lost", "handle_close"),
    }
)
"""What executors do."""

ACTIONS = frozenset(
    {
        *("gate_arrival", "gate_open", "gate_departure", "gate_empty"),
        *("restart_gateway", "stop_gateway", "terminate_gateway", "await_gateway", "kill_gateway", "start_gateway"),
        *("break_store", "mend_store", "kill_worker", "idle_worker", "wait_until", "number_stays", "deploy"),
        *("raw_request", "raw_response", "fake_seen", "fake_keys", "end_input", "send_line"),
    }
)
"""What the runner does."""

_SCENARIO_KEYS = {"name", "says", "gateway", "steps", "executor"}
_GATEWAY_KEYS = {"kind", "own", "drain", "settings", "apps"}
_STEP_KEYS = {"ok", "error", "either", "pending", "answer", "each", "as", "steps"}


class ScenarioError(Exception):
    """A scenario is not written as it must be."""


@dataclass(frozen=True)
class GatewayNeeds:
    """What kind of gateway a scenario wants. Scenarios with equal needs share one, unless they want their own."""

    kind: str = "real"
    """`real`, or `fake`: a server that answers as a newer gateway, or a broken one, might. `fake-tls` and `fake-mtls`
    are that with a certificate, and with one asked of the client."""
    own: bool = False
    drain: str = "end"
    settings: tuple[tuple[str, str], ...] = ()
    """Dotted names with their values."""
    apps: tuple[str, ...] = ()
    """Which apps, all if none is named."""


@dataclass(frozen=True)
class Scenario:
    """One story that must end in the same way in every language."""

    theme: str
    name: str
    says: str
    steps: Sequence[dict[str, Any]]
    gateway: GatewayNeeds = field(default_factory=GatewayNeeds)
    own_executor: bool = False


def load(folder: Path = FOLDER / "scenarios") -> list[Scenario]:
    """Return all scenarios by theme. Raises ScenarioError for what no runner would understand."""
    found: list[Scenario] = []
    for path in sorted(folder.glob("*.yaml")):
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        found += [_scenario(path.stem, entry) for entry in entries]
    names = [scenario.name for scenario in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ScenarioError(f"more than one scenario is named {', '.join(twice)}")
    return found


def _scenario(theme: str, entry: dict[str, Any]) -> Scenario:
    name = entry.get("name", "?")
    _only(name, entry, _SCENARIO_KEYS)
    for step in entry["steps"]:
        _check_step(name, step)
    return Scenario(
        theme=theme,
        name=name,
        says=" ".join(entry["says"].split()),
        steps=entry["steps"],
        gateway=_needs(name, entry.get("gateway", {})),
        own_executor=entry.get("executor") == "own",
    )


def _needs(name: str, entry: dict[str, Any]) -> GatewayNeeds:
    _only(name, entry, _GATEWAY_KEYS)
    settings = sorted((key, str(value)) for key, value in entry.get("settings", {}).items())
    return GatewayNeeds(
        kind=entry.get("kind", "real"),
        own=entry.get("own", False),
        drain=entry.get("drain", "end"),
        settings=tuple(settings),
        apps=tuple(entry.get("apps", ())),
    )


def _check_step(name: str, step: dict[str, Any]) -> None:
    verbs = [key for key in step if key in OPERATIONS | ACTIONS | {"answer", "each", "repeat_until"}]
    if len(verbs) != 1:
        raise ScenarioError(f"{name}: a step has one operation or action, not {verbs}: {step}")
    _only(name, step, _STEP_KEYS | {verbs[0]})
    if "repeat_until" in step:
        _check_step(name, step["repeat_until"])
    for inner in step.get("steps", ()):
        _check_step(name, inner)


def _only(name: str, entry: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(entry) - known):
        raise ScenarioError(f"{name}: no such key: {', '.join(unknown)}")
