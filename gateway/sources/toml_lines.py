"""The lines on which the keys of a TOML document stand, which tomllib does not tell.

What is valid is for tomllib to say. This reads what tomllib has taken; in a document that it refuses, as much as comes
before the mistake.
"""

import contextlib
import re
import tomllib
from bisect import bisect_right
from typing import Any

from gateway.sources.given import Key

_PART = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_BLANK = re.compile(r"(?:[ \t\r\n]|\#[^\n]*)*", re.VERBOSE)
_STRING = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5} | \'\'\'.*?'{3,5} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*\'''', re.VERBOSE | re.DOTALL
)
_BARE = re.compile(r"[^,\]}\n#]+")


class TomlLines:
    """The keys of one document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._lines: dict[Key, int] = {}
        self.repeated: list[tuple[Key, int, int]] = []
        """Tables and keys that stand there again: which, the first line, the line of the repetition."""
        self._declared: dict[Key, int] = {}
        with contextlib.suppress(_Stop, RecursionError):
            self._document()

    def line(self, key: Key) -> int:
        """Return the line of a key, or of the innermost table around it that is there; 1 for none."""
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)

    def _document(self) -> None:
        table: Key = ()
        while True:
            self._skip()
            if self._at == len(self._text):
                return
            if self._next("[["):
                table = self._header("]]", declares=False)
            elif self._next("["):
                table = self._header("]", declares=True)
            else:
                self._pair(table, declares=True)

    def _header(self, end: str, *, declares: bool) -> Key:
        self._skip()
        table = self._key((), declares=declares)
        self._skip()
        self._expect(end)
        return table

    def _pair(self, table: Key, *, declares: bool) -> None:
        key = self._key(table, declares=declares)
        self._skip()
        self._expect("=")
        self._value(key)

    def _value(self, key: Key) -> None:
        self._skip()
        if self._next("["):
            while not self._closed("]"):
                self._value(key)
        elif self._next("{"):
            while not self._closed("}"):
                self._pair(key, declares=False)
        else:
            self._match(_STRING if self._text[self._at : self._at + 1] in ('"', "'") else _BARE)

    def _closed(self, end: str) -> bool:
        self._skip()
        if self._next(","):
            self._skip()
        return self._next(end)

    def _key(self, table: Key, *, declares: bool) -> Key:
        line = bisect_right(self._starts, self._at)
        key = (*table, *_parts(self._match(_KEY)))
        for length in range(1, len(key) + 1):
            self._lines.setdefault(key[:length], line)
        if declares and key in self._declared:
            self.repeated.append((key, self._declared[key], line))
        self._declared.setdefault(key, line)
        return key

    def _skip(self) -> None:
        self._match(_BLANK)

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _Stop
        self._at = match.end()
        return match[0]

    def _next(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _expect(self, text: str) -> None:
        if not self._next(text):
            raise _Stop


class _Stop(Exception):
    """Something that is no TOML."""


def _parts(key: str) -> Key:
    """Return the parts of a key, without quotes and escapes."""
    try:
        tree: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        raise _Stop from None
    parts = []
    while isinstance(tree, dict):
        ((part, tree),) = tree.items()
        parts.append(part)
    return tuple(parts)
