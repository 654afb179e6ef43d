"""How a worker process is set up before any code of an app's instance runs in it."""

import contextlib
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gateway.worker.confinement import Confinement
from gateway.worker.family import mark
from gateway.worker.orphan import die_with_parent, tell_when_parent_dies

CANNOT_ENTER_EXIT = 75
"""Exit code of a worker whose process could not be set up, such as on a full disk (EX_TEMPFAIL of sysexits.h): no fault
of the app."""

KEPT_VARIABLES = (
    "PATH",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""What a worker keeps of the gateway's environment. Everything else may be a secret."""


RUN = "run"
"""The name of the directory of all workers inside a data directory."""

_SOCKET, _OUTPUT, _WORK, _TEMPORARY, _PID = "s", "output", "work", "tmp", "pid"
_CLOSED = "c"
"""A directory for the socket, where the worker's own is closed to the zygote that makes it."""


@dataclass(frozen=True, slots=True)
class WorkerDirectory:
    """What is where in a worker's own directory, all of which goes with the worker."""

    root: Path

    @property
    def socket(self) -> Path:
        """Where the worker listens for the gateway."""
        return Path(socket_in(str(self.root)))

    @property
    def closed(self) -> Path:
        """Holds the socket when the zygote may not write into the worker's directory."""
        return self.root / _CLOSED

    @property
    def output(self) -> Path:
        """A named pipe: standard output and error, read by the gateway."""
        return self.root / _OUTPUT

    @property
    def work(self) -> Path:
        """The working directory of the app, and its HOME."""
        return self.root / _WORK

    @property
    def temporary(self) -> Path:
        """TMPDIR."""
        return self.root / _TEMPORARY

    @property
    def pid(self) -> Path:
        """Names the process: its id, and when it started, by which a later process of the same id is told apart."""
        return self.root / _PID

    @property
    def app(self) -> Path:
        """Describes the app, for a gateway that adopts the worker."""
        return self.root / "app.json"

    def create(self) -> None:
        """Make the directory with all that must be there before the process is."""
        self.root.mkdir(mode=0o700)
        self.work.mkdir()
        self.temporary.mkdir()
        os.mkfifo(self.output, 0o600)

    def remove_empty(self) -> bool:
        """Remove the directory if the app has left nothing in it, many times faster than a walk over all that is there.
        Returns whether it is gone.
        """
        try:
            for file in (self.socket, self.output, self.pid, self.app):
                file.unlink(missing_ok=True)
            for directory in (self.work, self.temporary, self.closed, self.root):
                with contextlib.suppress(FileNotFoundError):
                    directory.rmdir()
        except OSError:
            return False
        return True


def start_time(pid: int) -> int:
    """Return when a process started, in clock ticks since boot (proc(5), stat, field 22). Raises OSError."""
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The second field is the command's name in parentheses, which may hold anything.
        return int(os.read(descriptor, 4096).rpartition(b")")[2].split()[19])
    finally:
        os.close(descriptor)


def scrubbed_environment() -> dict[str, str]:
    """Return what processes of apps may see of this process's environment."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    # A deployed version is immutable: nothing is written beside its code.
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}


def socket_in(directory: str) -> str:
    """Return where the worker of that directory listens for the gateway."""
    closed = f"{directory}/{_CLOSED}"
    return f"{closed}/{_SOCKET}" if os.path.isdir(closed) else f"{directory}/{_SOCKET}"  # noqa: PTH112  # see `enter`


def record_process(directory: WorkerDirectory, pid: int) -> None:
    """Note which process a worker is. Raises OSError, also when that has ended."""
    _write(str(directory.pid), f"{pid} {start_time(pid)}")


def enter(directory: str, worker_id: str, confinement: Confinement, *, supervised: bool = False) -> None:
    """Make this process, fresh from a fork, the worker of that directory: own group, own streams, own places, and its
    own user if it has one. One that is `supervised` ends with its zygote, whether or not a gateway is there.

    Paths are put together by hand here: each function of Python that runs after the fork for the first time writes to
    some pages of memory that the process else shares with the zygote, and pathlib has dozens of them.
    """
    work = f"{directory}/{_WORK}"
    os.setsid()  # its children are in its group and go with it
    mark(worker_id)  # and so do those that leave the group
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    os.umask(0o077)
    yield_to_gateway()
    if not confinement.users:
        # Else the directory is the gateway's, as is the record: it decides whom the gateway kills.
        _write(f"{directory}/{_PID}", f"{os.getpid()} {start_time(os.getpid())}")
    confinement.become_worker(directory)
    # Not before: a change of users undoes it.
    die_with_parent() if supervised else tell_when_parent_dies()
    _redirect_streams(f"{directory}/{_OUTPUT}")
    os.chdir(work)
    environment = os.environ
    environment["HOME"] = environment["PWD"] = work
    environment["TMPDIR"] = f"{directory}/{_TEMPORARY}"
    environment["SGW_WORKER_ID"] = worker_id
    # The import of the app may have asked for it, and the answer is cached.
    tempfile.tempdir = None


def yield_to_gateway() -> None:
    """Have this process wake up without taking the processor from whoever runs, when there is no idle one.

    A gateway that is interrupted for the call it has just handed out does less with each turn of its loop. The share of
    the processor stays what it is. What the app starts is scheduled alike, and may change that (docs/adr/0042).
    """
    # Not everywhere allowed, and not what anything depends on.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _redirect_streams(output: str) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    # For reading too: without a gateway nobody else reads it, and a print() must not end the app for that.
    pipe = os.open(output, os.O_RDWR)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(pipe, 1)
    os.dup2(pipe, 2)
    os.close(null)
    os.close(pipe)
    for stream in (sys.stdout, sys.stderr):
        # A line of output is in the log when it is printed, and one that is not valid text is no error of the app's.
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
