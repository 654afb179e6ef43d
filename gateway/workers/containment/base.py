"""What the pool asks of a way to keep the workers of an app to themselves."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gateway.model import Profile
from gateway.worker.process import WorkerDirectory, record_process
from gateway.workers.containment.users import Block, end_user

StartMethod = Literal["fork", "spawn"]

_SANDBOX = 3
"""Processes of each sandbox: a shell and bwrap wait outside for its end, bwrap inside reaps orphans."""


def own_processes(profile: Profile | None) -> int:
    """Return how many processes of a worker are not the app's doing."""
    return 1 + _SANDBOX if profile == "sandbox" else 1


class Containment:
    """How the zygote of one app version is started, and its workers with it. This one: as the gateway's own user.

    The pool starts the zygote with `command` and `confinement`; for each worker it calls `prepare`, then, when there is
    a process, `started`, and `removed` when process and directory are gone; and `close` when the zygote has ended.
    """

    profile: Profile = "process"

    def __init__(self, start_method: StartMethod) -> None:
        self.start_method: StartMethod = start_method
        """How workers are made, whatever the app would like."""

    def command(self, interpreter: str, arguments: Sequence[str]) -> list[str]:
        """Return the command that runs the interpreter of the zygote."""
        return [interpreter, *arguments]

    @property
    def confinement(self) -> str:
        """What the zygote is told, as gateway.worker.confinement reads it."""
        return json.dumps({})

    def prepare(self, directory: WorkerDirectory) -> None:
        """Make a worker's directory, with all that must be there before its process is. Raises OSError."""
        directory.create()

    def started(self, directory: WorkerDirectory, pid: int) -> None:
        """Note a worker's process, if it does not do so itself. Raises OSError."""

    def removed(self, directory: WorkerDirectory) -> None:
        """A worker's process and its directory are gone. Never raises."""

    def close(self) -> None:
        """End what the zygote has left running, but for the workers. Blocks."""


class OwnUsers(Containment):
    """Each worker is a user of its own, which owns nothing but its working and its temporary directory."""

    profile: Profile = "user"

    def __init__(self, start_method: StartMethod, block: Block, view: Sequence[str], bubblewrap: str = "") -> None:
        """`view` is the beginning of the zygote's command; `bubblewrap` is bwrap's path if there is to be a sandbox."""
        super().__init__(start_method)
        self._block = block
        self._view = view
        self._bubblewrap = bubblewrap
        self._users: dict[Path, int] = {}
        if bubblewrap:
            self.profile = "sandbox"

    def command(self, interpreter: str, arguments: Sequence[str]) -> list[str]:
        return [*self._view, interpreter, *arguments]

    @property
    def confinement(self) -> str:
        return json.dumps({"users": [self._block.first, self._block.count], "bubblewrap": self._bubblewrap})

    def prepare(self, directory: WorkerDirectory) -> None:
        user = self._users[directory.root] = self._block.take()
        directory.create()
        if self.start_method == "fork":
            # The zygote runs code of the app: it may make the socket, and touch nothing else.
            directory.closed.mkdir(mode=0o700)
            os.chown(directory.closed, self._block.first, self._block.first)
        for path in (directory.work, directory.temporary, directory.output):
            os.chown(path, user, user)
        for path in (directory.work, directory.temporary):
            path.chmod(0o700)
        # Last: by its group everybody knows whose it is. The gateway's own records in it nobody else can change.
        os.chown(directory.root, -1, user)
        directory.root.chmod(0o711)  # to be passed by the zygote, on its way to the socket, and by the worker

    def started(self, directory: WorkerDirectory, pid: int) -> None:
        record_process(directory, pid)

    def removed(self, directory: WorkerDirectory) -> None:
        user = self._users.pop(directory.root, None)
        if user is not None:
            self._block.give_back(user)

    def close(self) -> None:
        end_user(self._block.first)
        self._block.close()


class Sandbox(Containment):
    """Each worker is in a sandbox of bubblewrap, as the gateway's own user."""

    profile: Profile = "sandbox"

    def __init__(self, bubblewrap: str) -> None:
        super().__init__("spawn")
        self._bubblewrap = bubblewrap

    @property
    def confinement(self) -> str:
        return json.dumps({"bubblewrap": self._bubblewrap})
