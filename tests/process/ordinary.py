"""Gateways of an ordinary user, for tests that run as root; and which kinds of gateways there can be here."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from gateway.workers.containment.machine import Machine, hidden
from tests.process.promises import Column
from tools.paths import ROOT

USER = 61007
"""Nobody's."""

_NEEDED = (Path(sys.prefix), Path(sys.base_prefix), ROOT)


def launcher() -> Sequence[str]:
    """Return a command that becomes another one as the ordinary user: in sight of Python, wherever root keeps it."""
    lines = ["set -e"]
    for number, path in enumerate(_NEEDED):
        closed = hidden(path)
        if closed is not None:
            stage = f"/mnt/{number}"
            lines += [f"mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir {stage}", f"mount --rbind {path} {stage}"]
            lines += [f"mount -t tmpfs -o mode=755 tmpfs {closed}", f"mkdir -p {path}", f"mount --rbind {stage} {path}"]
    lines.append(f'exec setpriv --reuid {USER} --regid {USER} --clear-groups -- "$@"')
    return ["unshare", "--mount", "sh", "-c", "\n".join(lines), "sh"]


@cache
def lacking(column: Column) -> str:
    """Return why there can be no such gateway here, "" if there can."""
    if column.root and os.getuid() != 0:
        return "the tests do not run as root"
    as_another = not column.root and os.getuid() == 0
    if as_another and (problem := _problem([*launcher(), sys.executable, "-c", ""])):
        return f"no gateway of an ordinary user can be started: {problem}"
    if column.profile == "process":
        return ""
    if as_another:
        bubblewrap = shutil.which("bwrap") or "bwrap"
        flags = ["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc"]
        return _problem([*launcher(), bubblewrap, *flags, "true"])
    machine = Machine(USER)
    return str(machine.own_users() or "") if column.profile == "user" else str(machine.sandbox() or "")


def _problem(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except OSError as error:
        return str(error)
    return (done.stderr.strip() or shlex.join(command)) if done.returncode else ""
