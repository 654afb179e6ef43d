"""`--input`: a JSON object on the command line, in a file or on standard input."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click


class JsonObject(click.ParamType[dict[str, Any]]):
    """Reads JSON text, `@FILE` or `-`. Integers stay exact, whatever their size."""

    name = "JSON|@FILE|-"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the object. Fails with what is wrong and where."""
        if not isinstance(value, str):
            return value
        source, text = self._read(value, param, ctx)
        try:
            parsed = json.loads(text, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            hint = "" if source else ' Quote it for the shell: --input \'{"key": "value"}\''
            self.fail(f"{source or repr(value)} is not JSON: {error.msg} ({where}).{hint}", param, ctx)
        except (ValueError, RecursionError) as error:
            self.fail(f"{source or 'the input'} is not JSON that can be sent: {error}", param, ctx)
        if not isinstance(parsed, dict):
            self.fail(f"the input must be a JSON object, {{...}}, not {_KINDS[type(parsed)]}", param, ctx)
        return parsed

    def _read(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return what to call the source, "" for the command line itself, and its text."""
        if not value.startswith("@") and value != "-":
            return "", value
        source = "standard input" if value in ("-", "@-") else value[1:]
        try:
            content = sys.stdin.buffer.read() if value in ("-", "@-") else Path(source).expanduser().read_bytes()
            return source, content.decode("utf-8-sig")
        except OSError as error:
            self.fail(f"{source}: {error.strerror}", param, ctx)
        except UnicodeDecodeError:
            self.fail(f"{source} is not UTF-8 text", param, ctx)


_KINDS = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
