"""How the processes of an app are kept to themselves: what the zygote does, before any code of the app runs.

The gateway decides (gateway/workers/containment) and hands it over as JSON. `profile` is `process`, `user` or
`sandbox`; with `users`, the first and the number of the users that are this zygote's, each worker is one of them: the
one that its directory belongs to by its group. With `bubblewrap`, the path of bwrap, each worker is in a sandbox.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.worker.privileges import become, enter_user_namespace, gain_nothing, kill_user
from gateway.worker.sandbox import sandboxed

_SHELL_SIGNAL = 128
"""What bwrap adds to the number of the signal that killed its child, to make an exit code of it, as shells do."""

_ATTEMPTS = 5

_NAME = "app"
"""What users of workers are called."""


class Confinement:
    """What keeps the processes of one zygote."""

    def __init__(self, text: str = "{}") -> None:
        """`text` is JSON; without a key the app is as the gateway's own processes are."""
        given = json.loads(text)
        users: Sequence[int] = given.get("users") or ()
        self._first, self._count = users or (0, 0)
        self._bubblewrap: str = given.get("bubblewrap", "")

    @property
    def users(self) -> bool:
        """Whether each worker is a user of its own."""
        return self._count > 0

    @property
    def sandbox(self) -> bool:
        """Whether each worker is in a sandbox of its own."""
        return bool(self._bubblewrap)

    def enter(self, start_method: str) -> None:
        """Confine this process, before it runs code of the app. Raises OSError."""
        if self.users and start_method == "fork":
            # It is about to run code of the app, and must not be root then; but what it forks must change users.
            enter_user_namespace(self._first, self._count)
        if self.users or self.sandbox:
            os.environ["USER"] = os.environ["LOGNAME"] = _NAME  # the number has none, and who asks for it would fail
        if not self.sandbox:
            gain_nothing()  # bwrap, which may be a setuid program, does that itself

    def become_worker(self, directory: str) -> None:
        """Make this process, fresh from a fork, the user of that worker. Raises OSError."""
        if self.users:
            become(self.user_of(directory))

    def user_of(self, directory: str) -> int:
        """Return the user of a worker. Raises OSError, also when it is none of those of this zygote."""
        user = os.stat(directory).st_gid  # noqa: PTH116  # between two forks: see gateway.worker.process.enter
        if not self._first < user < self._first + self._count:
            raise PermissionError(f"{directory} belongs to no user of this app")
        return user

    def leave(self) -> None:
        """End what the import has left running, whether or not the gateway is there to do it; and this process too, if
        it is the one that imported the app.
        """
        if self.users:
            self.end_users([self._first])

    def end_users(self, users: Sequence[int]) -> None:
        """Kill all processes of these users."""
        for user in users:
            for _ in range(_ATTEMPTS):  # they may kill whoever has come to kill them
                if kill_user(user):
                    break

    def command(self, arguments: Sequence[str], directory: str = "", app_directory: str = "") -> list[str]:
        """Return the command that runs this interpreter with these arguments, confined. `directory` is the worker's."""
        command = [sys.executable, *arguments]
        return sandboxed(self._bubblewrap, command, directory, app_directory) if self.sandbox else command

    def describing(self, app_directory: Path) -> "subprocess.Popen[bytes]":
        """Start a process that writes what the app offers to its standard output. Raises OSError."""
        arguments = ["-m", "gateway.worker.spawned", "describe", str(app_directory)]
        identity: dict[str, Any] = {"user": self._first, "group": self._first, "extra_groups": ()} if self.users else {}
        return subprocess.Popen(
            self.command(arguments, app_directory=str(app_directory)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            **identity,
        )

    def exit_of(self, code: int) -> int:
        """Return how a worker ended, as `os.waitstatus_to_exitcode` does, from how its process did."""
        return _SHELL_SIGNAL - code if self.sandbox and code > _SHELL_SIGNAL else code
