"""The TOML file of settings."""

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.sources.given import Given, Key, Known, Origin, dotted, sections, similar
from gateway.sources.toml_lines import TomlLines

_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


def from_file(path: Path, known: Known, problems: list[str]) -> dict[Key, Given]:
    """Return what the file sets. What is wrong with it, but for the values, is added to the problems."""
    text, tree = _read(path, problems)
    return _File(path, TomlLines(text), known, problems).settings(tree)


def _read(path: Path, problems: list[str]) -> tuple[str, dict[str, Any]]:
    text = ""
    try:
        text = path.read_bytes().decode("utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        problems.append(f"{path}: {error.strerror}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(f"{path}:{line}: this is not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        problems.append(_invalid(path, text, str(error)))
    except ValueError:
        problems.append(f"{path}: a whole number has more than {sys.get_int_max_str_digits()} digits")
    except RecursionError:
        problems.append(f"{path}: too deeply nested")
    return "", {}


def _invalid(path: Path, text: str, message: str) -> str:
    what, line, column = message, "", ""
    if match := _PLACE.match(message):
        what = match[1]
        # Where it ends is not where somebody looks for what is missing, but there is no better place.
        line = match[2] or str(text.count("\n") + 1)
        column = match[3] or str(len(text) - text.rfind("\n"))
    for key, first, again in TomlLines(text).repeated:
        if what.startswith("Cannot") and again <= int(line or again):
            return f"{path}:{again}: {dotted(key)} is given twice, first on line {first}"
    place = f":{line}:{column}" if line else ""
    return f"{path}{place}: this is not TOML: {what[:1].lower()}{what[1:]}"


class _File:
    """One reading of a file that is TOML."""

    def __init__(self, path: Path, lines: TomlLines, known: Known, problems: list[str]) -> None:
        self._path, self._lines, self._known, self._problems = path, lines, known, problems
        self._sections = sections(known)

    def settings(self, tree: Mapping[str, Any]) -> dict[Key, Given]:
        """Return the settings that are known."""
        found: dict[Key, Given] = {}
        for name, value in tree.items():
            if name not in self._sections:
                self._setting((name,), value, found)
            elif not isinstance(value, dict):
                self._wrong((name,), f"must be a table, [{name}]")
            else:
                for leaf, each in value.items():
                    self._setting((name, leaf), each, found)
        return found

    def _setting(self, key: Key, value: Any, found: dict[Key, Given]) -> None:
        if key not in self._known:
            self._unknown(key, is_table=isinstance(value, dict))
        elif self._known[key] and isinstance(value, dict):
            found.update({(*key, name): Given(each, self._origin((*key, name))) for name, each in value.items()})
        else:
            found[key] = Given(value, self._origin(key))

    def _unknown(self, key: Key, *, is_table: bool) -> None:
        *above, name = key
        if is_table and not above:
            self._wrong(key, "no section has this name" + similar(name, self._sections))
            return
        siblings = [each[-1] for each in self._known if each[:-1] == tuple(above)]
        hint = similar(name, siblings)
        elsewhere = [each for each in self._known if each[-1] == name]
        if not hint and elsewhere:
            hint = f"; did you mean {dotted(elsewhere[0])}?"
        self._wrong(key, "no setting has this name" + hint)

    def _wrong(self, key: Key, text: str) -> None:
        self._problems.append(self._origin(key).problem(key, text))

    def _origin(self, key: Key) -> Origin:
        return Origin("file", f"{self._path}:{self._lines.line(key)}")
