"""What this machine can give to keep workers to themselves. All of it is tried, not guessed."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.timing import MACHINE_TRIAL
from gateway.workers.containment.users import as_user

_SANDBOX = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-ipc",
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
)


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a profile cannot be given, and what to do."""

    why: str
    do: str

    def __str__(self) -> str:
        return f"{self.why}. {self.do}"


class Machine:
    """The machine, as far as this process may use it. Each look blocks for some milliseconds."""

    def __init__(self, first_user: int, bubblewrap: str | None = None) -> None:
        """`first_user` is one of those that workers get; `bubblewrap` is the path of bwrap, "" if there is none."""
        self._first_user = first_user
        self.bubblewrap = (shutil.which("bwrap") or "") if bubblewrap is None else bubblewrap
        self.is_root = os.geteuid() == 0

    def own_users(self) -> Lack | None:
        """Return why workers cannot be users of their own, None if they can."""
        if not self.is_root:
            return Lack("the gateway does not run as root", "Run it as root, or use `sandbox`.")
        if not self.bubblewrap:
            return _NO_BUBBLEWRAP
        problem = self._problem(["/bin/true"], as_worker=True)
        if problem:
            do = "Allow CAP_SETUID, CAP_SETGID, CAP_CHOWN, and set workers.user_range to users that the container has."
            return Lack(f"a process cannot become the user {self._first_user} ({problem})", do)
        problem = self._problem([self.bubblewrap, "--dev-bind", "/", "/", "--tmpfs", "/tmp", "/bin/true"])
        if problem:
            return Lack(f"root cannot have a view of the file system of its own ({problem})", "Allow CAP_SYS_ADMIN.")
        return None

    def forks_to_users(self) -> bool:
        """Whether a zygote that has imported an app can change its workers' users: if not, they are started anew."""
        return not self._problem([self.bubblewrap, "--unshare-user", "--dev-bind", "/", "/", "/bin/true"])

    def sandbox(self) -> Lack | None:
        """Return why workers cannot be in a sandbox, None if they can."""
        if not self.bubblewrap:
            return _NO_BUBBLEWRAP
        lack = self.own_users() if self.is_root else None
        problem = "" if lack else self._problem([self.bubblewrap, *_SANDBOX, "/bin/true"], as_worker=self.is_root)
        if problem:
            do = "Allow user namespaces to ordinary users (sysctl user.max_user_namespaces, AppArmor, seccomp)."
            return Lack(f"bwrap cannot make a sandbox ({problem})", do)
        return lack

    def _problem(self, command: Sequence[str], *, as_worker: bool = False) -> str:
        try:
            subprocess.run(
                as_user(self._first_user, command) if as_worker else command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd="/",
                env={},
                timeout=MACHINE_TRIAL,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode(errors="replace").strip().splitlines()
            return lines[-1] if lines else f"exit code {error.returncode}"
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return getattr(error, "strerror", None) or str(error)
        return ""


_NO_BUBBLEWRAP = Lack("there is no bwrap", "Install bubblewrap (Debian, Fedora: the package bubblewrap).")


def hidden(path: Path) -> Path | None:
    """Return the outermost directory on the way to a path that only its owner and group may pass; None: all may."""
    for parent in reversed(path.parents):
        if not parent.stat().st_mode & 0o001:
            return parent
    return None


def unreadable(path: Path) -> bool:
    """Whether other users cannot read a file, or enter and list a directory."""
    wanted = 0o005 if path.is_dir() else 0o004
    return path.stat().st_mode & wanted != wanted
