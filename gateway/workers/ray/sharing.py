"""The zygote that the actors of an app version on a node have together."""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import socket
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import gateway
import sessiongateway
from gateway.clock import Clock
from gateway.model import AppVersion
from gateway.worker.gate import identity, knock, locked, opened, remove
from gateway.workers.containment.base import Containment
from gateway.workers.records import app_text
from gateway.workers.zygote import Zygote, ZygoteGone

_PREFIX = "zyg."
_DIGITS = 24
"""Hexadecimal ones of a SHA-256. The path of a socket has room for few more."""

_STANDARD_OUTPUT = 1

logger = logging.getLogger("gateway.workers")

_PACKAGES = [Path(package.__path__[0]) for package in (gateway, sessiongateway)]


class SharedZygote(Zygote):
    """A connection to the zygote, which is started if it is not there. It goes when nobody has one any more."""

    def __init__(
        self,
        app: AppVersion,
        base: Path,
        clock: Clock,
        output_rate: int,
        containment: Containment,
        *,
        environment: Mapping[str, str],
        node: str,
    ) -> None:
        """Those that differ in anything but `base`, the directory of all that is there of workers, share nothing."""
        super().__init__(app, base, clock, output_rate, containment, environment=environment)
        same = json.dumps([node, _release(), app_text(app), self.command(0), sorted(self.environment().items())])
        self._library = base / f"{_PREFIX}{hashlib.sha256(same.encode()).hexdigest()[:_DIGITS]}"
        self._begun = False
        """This one started it: until it has imported the app, it goes with this one."""
        self._made: tuple[int, int] | None = None
        """Tells it from the next one of the same name."""
        self._left = self._lost = False

    async def stop(self) -> None:
        if not self._left and (self._lost or (self._begun and not self._loaded.done())):
            await asyncio.to_thread(self._clear_away)
        self._left = True
        await super().stop()

    def closed(self) -> None:
        self._lost = not self._left
        super().closed()

    def ended_early(self) -> Exception:
        if self._begun:
            return super().ended_early()
        return ZygoteGone(f"the zygote of {self.app.ref} ended before it was there")

    async def _reached(self) -> socket.socket:
        reaching = asyncio.ensure_future(asyncio.to_thread(self._reach))
        try:
            return await asyncio.shield(reaching)
        except asyncio.CancelledError:
            await asyncio.wait((reaching,))
            if reaching.exception() is None:
                if self._begun:
                    await asyncio.to_thread(self._clear_away)
                reaching.result().close()
            raise

    def _reach(self) -> socket.socket:
        process: subprocess.Popen[bytes] | None = None
        with locked(self._library.parent):
            control = knock(self._library)
            if control is None:
                remove(self._library)
                control, process = self._begin()
            self._made = identity(self._library)
        if process is not None:
            said, _ = process.communicate()  # it goes on in a child that nobody is the parent of
            for line in said.splitlines():
                logger.warning("%s", line.decode(errors="backslashreplace"), extra={"app": str(self.app.ref)})
        return control

    def _begin(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        listener = opened(self._library)
        for source in _PACKAGES:
            (self._library / source.name).symlink_to(source)
        ours, theirs = socket.socketpair()
        self._begun = True
        with theirs, listener, os.fdopen(os.dup(_STANDARD_OUTPUT), "wb") as output:
            passed = [each.fileno() for each in (theirs, listener, output)]
            try:
                process = subprocess.Popen(
                    [*self.command(passed[0]), str(passed[1]), str(self._library), str(passed[2])],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=passed,
                    cwd="/",
                    env=self.environment(),
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                remove(self._library)
                raise self.cannot_run(error) from error
        return ours, process

    def _clear_away(self) -> None:
        """Remove what a zygote that has died, or is about to, does not remove itself."""
        with contextlib.suppress(OSError), locked(self._library.parent):
            if identity(self._library) == self._made:
                remove(self._library)


def clear_away(base: Path) -> None:
    """Remove what zygotes have left that were killed. Raises OSError."""
    for directory in base.glob(f"{_PREFIX}*"):
        with locked(base):
            control = knock(directory)
            if control is None:
                remove(directory)
            else:
                control.close()


def _release() -> list[str]:
    """Return what tells the code of this gateway from that of another one, or from its own after an upgrade."""
    files = (source / "__init__.py" for source in _PACKAGES)
    return [version("session-gateway"), *(f"{file} {file.stat().st_mtime_ns}" for file in files)]
