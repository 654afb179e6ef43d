"""Writes docs/configuration.md from the fields of the settings tree."""

from typing import Any

from pydantic import BaseModel

from gateway.cli.commands.serve import flag_names
from gateway.config import Settings, environment_name, setting_paths
from tools.docs_example import EXAMPLE

# Defaults that are worked out where the gateway runs, in words; tests/repository compares them with the code.
COMPUTED_DEFAULTS = {
    "data_dir": "`$XDG_DATA_HOME/session-gateway`, else `~/.local/share/session-gateway`",
    "apps": "none",
    "quotas.principals": "none",
}

_FLAGS = flag_names()

_HEAD = f"""\
<!-- Generated from gateway/config.py by `make docs`; edit the descriptions there. -->

# Configuration

`sgw serve` takes each setting from the first of these that has it:

1. its flag, such as `--max-workers 64`,
2. the environment, such as `SGW_WORKERS_MAX_WORKERS=64`,
3. the file named by `--config`,
4. the default.

The file is TOML: settings without a section stand at its top, each section is a table.

```toml
{EXAMPLE}```

`SGW_APPS` is a JSON object, such as `{{"kv": "/srv/apps/kv"}}`. Apps of all sources are put together; of an app that
several name, the first source counts.

`sgw config show` tells each value with its origin, `sgw config check` all mistakes at once, each with its place: path
and line of the file, variable or flag. Both take the flags of `sgw serve`, which does not start with any mistake.

Clients read `SGW_ADDRESS` (`HOST:PORT` of the gateway) and `SGW_API_KEY`; the Python client and `sgw` also read
`SGW_TLS`, `SGW_TLS_CA`, `SGW_TLS_CERT` and `SGW_TLS_KEY` ([TLS](operations.md#tls)). The gateway reads none of them.
"""


def setting_schema(path: str) -> dict[str, Any]:
    """Return the JSON schema of the setting at a dotted path: type, limits, default, description."""
    model: type[BaseModel] = Settings
    *sections, leaf = path.split(".")
    for section in sections:
        annotation = model.model_fields[section].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    schema: dict[str, Any] = model.model_json_schema()["properties"][leaf]
    return schema


def render() -> str:
    """Return the whole page."""
    by_section: dict[str, list[str]] = {}
    for path in setting_paths():
        by_section.setdefault(path.rpartition(".")[0], []).append(path)
    return "\n".join([_HEAD, *(_section(name, paths) for name, paths in by_section.items())])


def _section(name: str, paths: list[str]) -> str:
    if name:
        annotation = Settings.model_fields[name].annotation
        title, intro = f"[{name}]", annotation.__doc__ or "" if annotation else ""
    else:
        title, intro = "At the top", "Settings without a section."
    rows = "".join(_row(path, setting_schema(path)) for path in paths)
    table = f"| Setting | Environment | Flag | Value | Default | Meaning |\n|---|---|---|---|---|---|\n{rows}"
    return f"## {title}\n\n{intro.strip()}\n\n{table}"


def _row(path: str, schema: dict[str, Any]) -> str:
    leaf = path.rpartition(".")[2]
    default = COMPUTED_DEFAULTS.get(path) or _default(schema["default"])
    flag = f"`{_FLAGS[path]}`" if path in _FLAGS else ""
    cells = [f"`{leaf}`", f"`{environment_name(path)}`", flag, _value(schema), default, schema["description"]]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _default(value: object) -> str:
    return "none" if value is None else f"`{_literal(value)}`" if value != "" else "empty"


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _value(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:  # or null, for a setting that may be left out
        return _value(schema["anyOf"][0])
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    kinds = {"boolean": "`true` or `false`", "integer": "whole number", "number": "number", "object": "table"}
    kind = "path" if schema.get("format") == "path" else kinds.get(schema["type"], "text")
    limits = [
        f"{words} {_literal(schema[key])}"
        for key, words in (("minimum", "at least"), ("exclusiveMinimum", "more than"), ("maximum", "at most"))
        if key in schema
    ]
    return ", ".join([kind, *limits])
