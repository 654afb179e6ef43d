"""The lines of keys, compared with documents whose lines are known, and with what tomllib reads."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sources.given import Key
from gateway.sources.toml_lines import TomlLines

DOCUMENT = '''\
top = 1 # [not.a.table]
"quoted.key" = "a # no comment"
many = [
  1, # one
  { inside = 2 },
]
text = """
[looks] = like
a = "table" \\""" """""
after = 'C:\\'

[ section . "sub section" ]
a.b = 1979-05-27 07:32:00
c = { d = { e = [ [ ] , [1] ] }, "f g" = \'\'\'
x = 1\'\'\'\', h = 1 }
last = true
[[tables]]
x = 1
[[tables]]
x = 2
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("top",), 1),
        (("quoted.key",), 2),
        (("many",), 3),
        (("many", "inside"), 5),
        (("text",), 7),
        (("after",), 10),
        (("section",), 12),
        (("section", "sub section"), 12),
        (("section", "sub section", "a", "b"), 13),
        (("section", "sub section", "c", "d", "e"), 14),
        (("section", "sub section", "c", "h"), 15),
        (("section", "sub section", "last"), 16),
        (("tables", "x"), 18),
    ],
)
def test_a_key_is_found_on_its_line(key: Key, line: int) -> None:
    tomllib.loads(DOCUMENT)
    assert TomlLines(DOCUMENT).line(key) == line


def test_a_key_that_is_not_there_has_the_line_of_the_table_around_it() -> None:
    assert TomlLines("\n[a]\nb = 1\n").line(("a", "c")) == 2
    assert TomlLines("\n[a]\nb = 1\n").line(("c",)) == 1


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("[a]\n[b]\n[a]\n", [(("a",), 1, 3)]),
        ("a = 1\n\na = 2\n", [(("a",), 1, 3)]),
        ("[a]\nb.c = 1\n[a.b]\nc = 2", [(("a", "b", "c"), 2, 4)]),
        ("[[a]]\nb = [{c = 1}, {c = 2}]\n[[a]]\n", []),
    ],
)
def test_what_stands_there_twice_is_known(text: str, repeated: list[tuple[Key, int, int]]) -> None:
    assert TomlLines(text).repeated == repeated


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
SCALARS = st.integers(-9, 9) | st.booleans() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)


def written(value: Any, text: str = "text") -> str:
    """Return a value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(name)} = {written(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[ # \"'\n" + ",\n".join(map(written, value)) + "\n]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def quoted(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f") if text.isascii() else _escaped(text)


def _escaped(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


def keys(tree: Mapping[str, Any], above: Key = ()) -> Iterator[Key]:
    for name, value in tree.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from keys(value, (*above, name))


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=4), max_size=4))
def test_every_key_that_tomllib_reads_is_on_a_line_that_has_it(tree: dict[str, dict[str, Any]]) -> None:
    text = ""
    for table, entries in tree.items():
        text += f"[ {quoted(table)} ]\n" + "".join(
            f"{quoted(name)} = {written(value)}\n" for name, value in entries.items()
        )
    assert tomllib.loads(text) == tree
    found, lines = TomlLines(text), text.split("\n")
    assert [key for key in keys(tree) if quoted(key[-1]) not in lines[found.line(key) - 1]] == []
    assert found.repeated == []


@given(st.text(st.sampled_from("[]{}=.,#\"'\\\n\r\t ab1é"), max_size=60))
def test_what_is_no_toml_is_read_as_far_as_it_goes(text: str) -> None:
    lines = TomlLines(text)
    assert 1 <= lines.line(("a",)) <= text.count("\n") + 1


def test_nesting_without_end_is_no_crash() -> None:
    assert TomlLines("a = 1\nb = " + "[" * 100_000).line(("b",)) == 2
