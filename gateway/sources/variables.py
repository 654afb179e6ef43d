"""The environment as a source of settings."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from gateway.sources.given import Given, Key, Known, Origin, similar

_EXAMPLE = '{"kv": "/srv/apps/kv"}'


def variable(prefix: str, key: Key) -> str:
    """Return the name of a setting's variable."""
    return prefix + "_".join(key).upper()


def from_environment(
    environment: Mapping[str, str], prefix: str, known: Known, others: Collection[str], problems: list[str]
) -> dict[Key, Given]:
    """Return what the environment sets. `others` are names with the prefix that belong to somebody else."""
    names = {variable(prefix, key): key for key in known}
    found: dict[Key, Given] = {}
    for name in sorted(environment):
        if name in names:
            key, text = names[name], environment[name]
            if known[key]:
                found.update(_entries(name, key, text, problems))
            else:
                found[key] = Given(text, Origin("environment", name))
        elif name.startswith(prefix) and name not in others:
            problems.append(f"{name}: no setting has this name{similar(name, names)}")
    return found


def _entries(name: str, key: Key, text: str, problems: list[str]) -> dict[Key, Given]:
    why = ""
    table: Any = None
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        why = f"; it is not JSON at character {error.pos + 1}"
    except (ValueError, RecursionError):
        why = "; it is not JSON that can be read"
    if not isinstance(table, dict):
        problems.append(f"{name}: must be a JSON object, such as {_EXAMPLE}{why}")
        return {}
    return {(*key, entry): Given(value, Origin("environment", name)) for entry, value in table.items()}


def from_flags(tree: Mapping[str, Any], names: Mapping[str, str], known: Known) -> dict[Key, Given]:
    """Return what flags set, of a tree as the settings are one. `names` has the flag of a setting's dotted path."""
    found: dict[Key, Given] = {}

    def walk(key: Key, value: Any) -> None:
        if isinstance(value, Mapping) and key not in known:
            for name, each in value.items():
                walk((*key, name), each)
        elif isinstance(value, Mapping) and known[key]:
            for name, each in value.items():
                found[(*key, name)] = Given(each, origin(key))
        else:
            found[key] = Given(value, origin(key))

    def origin(key: Key) -> Origin:
        return Origin("flag", names.get(".".join(key), ".".join(key)))

    walk((), tree)
    return found
