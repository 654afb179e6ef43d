"""Which containment an app gets: what it asks for, and no less than the gateway's setting."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from gateway.model import PROFILES, AppVersion, Profile
from gateway.share import WHOLE, Share
from gateway.sources.users import parse_user_range
from gateway.timing import MACHINE_TRIAL
from gateway.worker.process import RUN
from gateway.worker.sandbox import packages, without_homes
from gateway.worker_settings import WorkerSettings
from gateway.workers.containment.base import Containment, OwnUsers, Sandbox
from gateway.workers.containment.machine import Lack, Machine, hidden, unreadable
from gateway.workers.containment.users import NoUsersLeft, Users
from gateway.workers.replies import start_error
from sessiongateway.worker.v1 import worker_pb2 as pb

logger = logging.getLogger("gateway.workers")

UNAVAILABLE = "IsolationUnavailable"
"""The type of the failure of an app whose profile the machine cannot give."""

_INTERPRETER = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix, *sys.path]))"


class _NotGiven(Exception):
    def __init__(self, lack: Lack) -> None:
        super().__init__(str(lack))


class Containments:
    """The ways to contain apps that there are here."""

    def __init__(
        self, settings: WorkerSettings, directory: Path, share: Share = WHOLE, machine: Machine | None = None
    ) -> None:
        """`directory` holds the workers' own directories."""
        first, last = parse_user_range(settings.user_range)
        self._settings = settings
        self._directory = directory
        self._machine = machine or Machine(first)
        self._users = Users(first, last, settings.max_workers + 1, directory, share)
        self._interpreters: dict[str, Sequence[str]] = {}
        self._given_before: set[Profile] = set()
        self._allocating = asyncio.Lock()

    async def of(self, app: AppVersion, library: Path) -> Containment:
        """Return how the workers of an app are contained. `library` is what other interpreters import.

        Raises AppStartFailed, with the type `IsolationUnavailable`, if the machine cannot give that.
        """
        async with self._allocating:
            return await asyncio.to_thread(self._of, app, library)

    def _of(self, app: AppVersion, library: Path) -> Containment:
        wanted = self.wanted(app)
        try:
            return self._given(wanted, app, library)
        except (_NotGiven, NoUsersLeft, OSError) as error:
            if self._settings.isolation == "auto" and wanted == "user" and app.isolation != "user":
                logger.warning(
                    "%s runs as root, and so can do anything: isolation user is not to be had: %s", app.ref, error
                )
                return Containment(app.start_method)
            message = f"isolation {wanted} is not to be had here: {error}"
            raise start_error(app.ref, pb.Failure(type=UNAVAILABLE, message=message)) from None

    def wanted(self, app: AppVersion) -> Profile:
        """Return the profile that an app is to have."""
        setting = self._settings.isolation
        automatic: Profile = "user" if self._machine.is_root else "process"
        least = automatic if setting == "auto" else setting
        return max(least, app.isolation or least, key=PROFILES.index)

    def _given(self, profile: Profile, app: AppVersion, library: Path) -> Containment:
        if profile == "process":
            return Containment(app.start_method)
        self._try(profile)
        if profile == "sandbox" and not self._machine.is_root:
            return Sandbox(self._machine.bubblewrap)
        view = self._view(app, library)
        forks = profile == "user" and app.start_method == "fork" and self._forks()
        return OwnUsers(
            "fork" if forks else "spawn",
            self._users.allocate(),
            view,
            self._machine.bubblewrap if profile == "sandbox" else "",
        )

    def _view(self, app: AppVersion, library: Path) -> Sequence[str]:
        """Return a command that runs another one with what workers need in sight of all users.

        Directories that root has closed to others, such as the data directory and /root, are empty there but for that.
        """
        try:
            interpreter = self._interpreter(app.interpreter)
        except OSError as error:
            message = f"the interpreter cannot be run: {error.strerror or error}"
            raise start_error(app.ref, pb.Failure(type=type(error).__name__, message=message)) from None
        paths = [*map(Path, (*interpreter, *packages())), app.directory, library]
        for needs in (*paths, app.directory / "app.py"):
            if unreadable(needs):
                raise _NotGiven(Lack(f"{needs} cannot be read by other users", f"Run: chmod -R go+rX {needs}"))
        self._directory.chmod(0o711)
        bound = {**{str(path): "--ro-bind" for path in paths}, str(self._directory): "--bind"}
        closed = sorted({found for path in bound if (found := self._closed(Path(path))) is not None})
        # It does not end with its parent: the zygote sees the end of the gateway itself, and has to clear up then.
        arguments = [self._machine.bubblewrap, "--dev-bind", "/", "/"]
        for directory in closed:
            arguments += ["--tmpfs", str(directory)]
        for path, how in sorted(bound.items()):
            emptied = self._closed(Path(path))
            if emptied is not None:
                # Else bwrap makes them itself, for root alone.
                between = [parent for parent in reversed(Path(path).parents) if parent.is_relative_to(emptied)][1:]
                arguments += [argument for parent in between for argument in ("--dir", str(parent))]
                arguments += [how, path, path]
        return [*arguments, "--"]

    def _closed(self, path: Path) -> Path | None:
        """Return the outermost directory on the way to a path that apps find empty but for that, None for none."""
        # The data directory in any case: whoever leaves it open today may close it tomorrow.
        data = self._directory.parent if self._directory.name == RUN else None
        return hidden(path) or (data if data in path.parents else None)

    def _interpreter(self, interpreter: str) -> Sequence[str]:
        if interpreter not in self._interpreters:
            self._interpreters[interpreter] = without_homes(_read_by(interpreter or sys.executable))
        return self._interpreters[interpreter]

    def _try(self, profile: Profile) -> None:
        # Only what there is remains so: what is lacking may be mended, or was a machine too busy to answer.
        if profile not in self._given_before:
            lack = self._machine.sandbox() if profile == "sandbox" else self._machine.own_users()
            if lack is not None:
                raise _NotGiven(lack)
            self._given_before.add(profile)

    def _forks(self) -> bool:
        forks = self._machine.forks_to_users()
        if not forks:
            logger.warning("no user namespaces can be made: each worker of isolation user is a fresh interpreter")
        return forks


def _read_by(interpreter: str) -> Sequence[str]:
    """Return the paths that an interpreter reads. Raises OSError."""
    try:
        answer = subprocess.run(
            [interpreter, "-I", "-c", _INTERPRETER],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=MACHINE_TRIAL,
            check=True,
        )
        paths = cast(list[str], json.loads(answer.stdout))
    except (subprocess.SubprocessError, ValueError) as error:
        raise OSError(f"{interpreter} cannot be asked where it is: {error}") from error
    return [path for path in paths if Path(path).exists()]
