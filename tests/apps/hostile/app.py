"""An app that goes for everything that is not its own. Its limits and what it goes for at import stand beside it."""

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessiongateway.app import BaseApp

SECRET = "a-secret-of-one-session"

_RLIMIT_LOCKS = 10
_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17

libc = ctypes.CDLL(None, use_errno=True)


def _read(input: dict[str, Any]) -> object:
    """Read the first of some files."""
    with Path(input["path"]).open("rb") as file:
        return file.read(1) and "read"


def _write(input: dict[str, Any]) -> object:
    """Write a new file. In a sandbox that may be nobody else's: whether it is there others have to say."""
    Path(input["path"]).write_text("x")
    return "written"


def _signal(input: dict[str, Any]) -> object:
    """Look whether a signal would be let through to any of some processes."""
    return _any(input["pids"], lambda pid: os.kill(pid, 0))


def _memory(input: dict[str, Any]) -> object:
    """Read the environment and the memory of any of some processes."""

    def look(pid: int) -> None:
        process = Path(f"/proc/{pid}")
        with (process / "environ").open("rb") as file:
            file.read(1)
        with (process / "maps").open() as file, (process / "mem").open("rb", buffering=0) as memory:
            memory.seek(int(file.readline().split("-")[0], 16))
            memory.read(1)

    return _any(input["pids"], look)


def _trace(input: dict[str, Any]) -> object:
    """Attach to any of some processes as a debugger."""

    def attach(pid: int) -> None:
        if libc.ptrace(_PTRACE_ATTACH, pid, None, None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        os.waitpid(pid, 0)
        libc.ptrace(_PTRACE_DETACH, pid, None, None)

    return _any(input["pids"], attach)


def _connect(input: dict[str, Any]) -> object:
    """Connect to a Unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(input["path"])
    return "connected"


def _network(input: dict[str, Any]) -> object:
    """Connect to a port of this machine."""
    with socket.create_connection((input["host"], input["port"]), timeout=5):
        return "connected"


def _processes(input: dict[str, Any]) -> object:
    """See any of some processes."""
    return _any(input["pids"], lambda pid: Path(f"/proc/{pid}").stat())


def _setuid(input: dict[str, Any]) -> object:
    """Have a program run with the rights of its owner. Done if it has them."""
    done = subprocess.run([input["program"], "-u"], capture_output=True, text=True, check=True)
    if int(done.stdout) == os.getuid():
        raise PermissionError("it has no more rights than this process")
    return "gained"


def _root(_: dict[str, Any]) -> object:
    """Be root, or be it already."""
    if os.getuid() != 0:
        os.setresuid(0, 0, 0)
    with Path("/proc/self/status").open() as status:
        if not any(line.startswith("CapEff") and int(line.split()[1], 16) for line in status):
            raise PermissionError("root has no rights here")
    return "root"


def _user(input: dict[str, Any]) -> object:
    """Be a user of another app."""
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(*(input["user"],) * 3)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))
    return "another user"


def _secrets(input: dict[str, Any]) -> object:
    """Find a secret of the gateway in the own environment or memory. It comes in halves, not to be there itself."""
    first, second = input["start"].encode(), input["end"].encode()
    with Path("/proc/self/maps").open() as maps, Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for line in maps:
            if "rw" not in line or "[v" in line:
                continue
            begin, end = (int(number, 16) for number in line.split()[0].split("-"))
            memory.seek(begin)
            if any(rest.startswith(second) for rest in memory.read(end - begin).split(first)[1:]):
                return line
    raise LookupError("not there")


def _descriptors(_: dict[str, Any]) -> object:
    """Find open files that are neither standard streams nor a worker's own: two sockets, and what its loop needs."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue  # that of this very look
    files = [each for each in found if each.startswith("/") and not each.startswith(("/dev/null", "/proc/"))]
    other = [each for each in files if not each.endswith("/output")]
    sockets = [each for each in found if each.startswith("socket:")]
    # Listening, connected, and the loop's own pair.
    if not other and len(sockets) <= 4:
        raise LookupError(str(found))
    return str(found)


def _any(pids: list[int], what: Callable[[int], object]) -> str:
    problem: Exception = LookupError("there is none")
    for pid in pids:
        try:
            what(pid)
        except OSError as error:
            problem = error
        else:
            return "done"
    raise problem


ATTEMPTS = {
    "read": _read,
    "write": _write,
    "signal": _signal,
    "memory": _memory,
    "trace": _trace,
    "connect": _connect,
    "network": _network,
    "processes": _processes,
    "setuid": _setuid,
    "root": _root,
    "user": _user,
    "secrets": _secrets,
    "descriptors": _descriptors,
}


def attempted(name: str, input: dict[str, Any]) -> dict[str, Any]:
    """Return whether it was done, and how it went."""
    try:
        return {"done": True, "how": str(ATTEMPTS[name](input))}
    except Exception as error:  # noqa: BLE001  # whatever the reason, it was not done
        return {"done": False, "how": f"{type(error).__name__}: {error}"}


_targets = Path(__file__).parent / "targets.json"
AT_IMPORT = [attempted(*target) for target in json.loads(_targets.read_text())] if _targets.exists() else []


class App(BaseApp):
    """One instance per worker."""

    def __init__(self) -> None:
        self.secret = SECRET

    def run(self) -> dict[str, Any]:
        """Be somebody's session: have a secret in a file, and in memory."""
        Path("secret").write_text(self.secret)
        Path("secret").chmod(0o644)
        return {"work": str(Path.cwd()), "user": os.getuid()}

    def attempt(self, input: dict[str, Any]) -> dict[str, Any]:
        """Go for something."""
        return attempted(input.pop("name"), input)

    def import_attempts(self) -> dict[str, Any]:
        """How it went at import."""
        return {"attempts": AT_IMPORT}

    def stay(self, input: dict[str, Any]) -> None:
        """Leave a process behind that hides: another session, another parent, another mark, another name."""
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        os.setsid()
        if os.fork():
            os._exit(0)
        resource.setrlimit(_RLIMIT_LOCKS, (1, 1))
        os.closerange(0, 256)
        os.execv("/bin/sleep", [input["called"], "600"])

    def bomb(self) -> None:
        """Fork without end."""
        while True:
            if os.fork() == 0:
                signal.alarm(30)
                signal.pause()
