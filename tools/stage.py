"""What a demonstration is made of: headings, commands with their answers, snippets with their output, and checks."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.paths import BUF
from tools.pseudo_terminal import run_on_terminal

SGW = str(Path(sys.executable).parent / "sgw")
DEADLINE = 20.0
"""Seconds for one command."""

_SESSION_ID = re.compile(r"sess_[a-z2-7]{26,}")
_WIDTH = 100


class Unexpected(Exception):
    """A step did not behave as it should."""


class Stage:
    """Plays steps against one gateway, and remembers which one it is in."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.step = ""
        self.steps = 0
        self.kept: dict[str, str] = {}
        """What one step has made for another."""
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._environment = {**os.environ, "SGW_ADDRESS": address, "COLUMNS": str(_WIDTH)}
        if not self._colours:
            self._environment |= {"TERM": "dumb", "NO_COLOR": "1"}

    def at(self, address: str) -> None:
        """Play against another gateway from now on, and say so."""
        self.address = address
        self._environment["SGW_ADDRESS"] = address
        print(f"\n{self._style(f'  $ export SGW_ADDRESS={address}', '33')}")

    def heading(self, title: str, text: str = "") -> None:
        """Begin a step."""
        self.steps += 1
        self.step = title
        print(f"\n{self._style(f'{self.steps}. {title}', '1;36')}")
        if text:
            print(textwrap.fill(" ".join(text.split()), _WIDTH))

    def sgw(self, *arguments: str, exit_code: int = 0) -> str:
        """Run `sgw` as somebody at a terminal would, and return what it wrote."""
        self._show("sgw", arguments)
        done = run_on_terminal([SGW, *arguments], self._environment, _WIDTH, DEADLINE)
        self._answer(done.text)
        self.expect(done.code == exit_code, f"exit code {exit_code}, not {done.code}")
        return done.text

    def piped(self, program: str, *arguments: str, exit_code: int = 0) -> str:
        """Run a program as a script would, its output into a pipe, and return that."""
        self._show(Path(program).name, arguments)
        where = {"sgw": SGW, "buf": BUF}.get(program, program)
        done = subprocess.run(
            [where, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        self._answer(done.stdout)
        self.expect(done.returncode == exit_code, f"exit code {exit_code}, not {done.returncode}")
        return done.stdout

    def python(self, code: str, names: Mapping[str, Any]) -> str:
        """Show a snippet, run it with these names defined, and return what it printed."""
        code = textwrap.dedent(code).strip()
        print()
        for line in code.splitlines():
            print(self._style(f"  >>> {line}".rstrip(), "33"))
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, "<snippet>", "exec"), dict(names))
        self._answer(output.getvalue())
        return output.getvalue()

    def expect(self, condition: object, what: str) -> None:
        """Raise Unexpected, unless it is as it should be."""
        if not condition:
            raise Unexpected(f"expected {what}")

    def expect_words(self, text: str, *words: str) -> None:
        """Raise Unexpected, unless all words are in the text, however it is wrapped."""
        flat = " ".join(text.split())
        for each in words:
            self.expect(each in flat, f"{each!r} in the answer")

    def session_in(self, text: str) -> str:
        """Return the session id in an answer."""
        found = _SESSION_ID.search(text)
        if found is None:
            raise Unexpected("expected a session id in the answer")
        return found[0]

    def _show(self, program: str, arguments: Sequence[str]) -> None:
        print(f"\n{self._style(f'  $ {program} {shlex.join(arguments)}', '33')}")

    def _answer(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            print(f"    {line}".rstrip())

    def _style(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text
