"""The gateway's end of a zygote: its process, its control socket, and the news of the workers that it forked."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import cast

from google.protobuf.message import DecodeError

from gateway.clock import Clock
from gateway.errors import AppStartFailed, WorkerExit
from gateway.model import AppVersion, FunctionDescription
from gateway.timing import ZYGOTE_STOP
from gateway.worker.process import scrubbed_environment
from gateway.workers.containment.base import Containment
from gateway.workers.frames import FrameError, FrameReader, encode
from gateway.workers.output import OutputReader
from gateway.workers.pooled import StartInterrupted
from gateway.workers.records import app_text
from gateway.workers.replies import start_error, start_exit_error
from sessiongateway.worker.v1 import worker_pb2 as pb

logger = logging.getLogger("gateway.workers")


class ZygoteGone(StartInterrupted):
    """The zygote ended before it answered."""


class Zygote:
    """One process per app version, from which its workers are forked."""

    def __init__(
        self,
        app: AppVersion,
        library: Path,
        clock: Clock,
        output_rate: int,
        containment: Containment,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`library` is what another interpreter than the gateway's own gets on its path. `environment` is what the app
        gets beside what every app does.
        """
        self._added = environment or {}
        self.app = app
        self.containment = containment
        self._library = library
        self.functions: Sequence[FunctionDescription] = ()
        self._clock = clock
        self._output_rate = output_rate
        self._process: asyncio.subprocess.Process | None = None
        self._control: asyncio.Transport | None = None
        self._output: OutputReader | None = None
        self._loaded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._forking: dict[str, asyncio.Future[pb.Forked]] = {}
        self._exit_callbacks: dict[str, Callable[[WorkerExit], object]] = {}
        self._seen_dead: dict[str, Callable[[], object]] = {}

    @cached_property
    def contained_app(self) -> AppVersion:
        """The app with the isolation that its workers have."""
        return dataclasses.replace(self.app, isolation=self.containment.profile)

    @cached_property
    def record(self) -> str:
        """What is noted of the app in the directory of each worker. Made once, and not for each of them."""
        return app_text(self.contained_app, [function.name for function in self.functions])

    @property
    def alive(self) -> bool:
        """Whether it can be asked for workers."""
        return self._control is not None

    async def start(self, timeout: float) -> None:
        """Start the process and wait until it has imported the app. Raises AppStartFailed."""
        ours = await self._reached()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            self._control, _ = await loop.connect_accepted_socket(lambda: _Control(self), ours)
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._loaded)
        except TimeoutError:
            await self.stop()
            raise start_exit_error(self.app.ref, WorkerExit(), f"the import took more than {timeout:g} s") from None
        except BaseException:
            await self.stop()
            raise

    async def fork(
        self,
        worker_id: str,
        directory: Path,
        on_exit: Callable[[WorkerExit], object],
        door: pb.Door | None = None,
    ) -> pb.Forked:
        """Make a worker, with a door if it is to have one, and say which process it is. `on_exit` hears how it ended.

        Raises ZygoteGone.
        """
        if self._control is None:
            raise ZygoteGone(str(self.app.ref))
        answer: asyncio.Future[pb.Forked] = asyncio.get_running_loop().create_future()
        self._forking[worker_id] = answer
        self._exit_callbacks[worker_id] = on_exit
        fork = pb.Fork(worker_id=worker_id, directory=str(directory), door=door)
        self._control.write(encode(pb.ToZygote(fork=fork)))
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(_kill_unwanted)
            raise

    def seen_dead(self, worker_id: str, untold: Callable[[], object]) -> None:
        """Note that a worker's process has ended. `untold` is called if this zygote ends before it has told how."""
        self._seen_dead[worker_id] = untold
        if not self.alive:
            self._leave_untold()

    async def stop(self) -> None:
        """End the process. Its workers live on until they are told to end, but their exit codes are no longer seen."""
        if self._forking:
            # Workers that nobody wants any more are killed when they are heard of, which is now or never.
            await asyncio.wait(self._forking.values(), timeout=ZYGOTE_STOP)
        if self._control is not None:
            self._control.close()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(ZYGOTE_STOP):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._output is not None:
            self._output.close()
        await asyncio.to_thread(self.containment.close)

    async def _reached(self) -> socket.socket:
        """Start the process, and return the control socket. Raises AppStartFailed."""
        ours, theirs = socket.socketpair()
        with theirs:
            spawning = asyncio.ensure_future(self._spawn(theirs.fileno()))
            try:
                await asyncio.shield(spawning)
            except asyncio.CancelledError:
                # The process may be there by now, and nobody else would see to its end.
                await asyncio.wait((spawning,))
                ours.close()
                await self.stop()
                raise
            except OSError as error:
                ours.close()
                await asyncio.to_thread(self.containment.close)
                raise self.cannot_run(error) from error
        return ours

    def cannot_run(self, error: OSError) -> AppStartFailed:
        """Return what is told of an interpreter that cannot be run."""
        # The path is for whoever runs the gateway, not for callers.
        interpreter = self.app.interpreter or sys.executable
        logger.warning("user %d cannot run %s: %s", os.geteuid(), interpreter, error.strerror)
        failure = pb.Failure(type=type(error).__name__, message=f"the interpreter cannot be run: {error.strerror}")
        return start_error(self.app.ref, failure)

    def command(self, control_fd: int) -> list[str]:
        """Return the command that runs it, with the other end of the control socket."""
        contained = self.containment
        limits = json.dumps(dataclasses.asdict(self.app.limits))
        arguments = (contained.start_method, str(self.app.directory), limits, contained.confinement)
        interpreter = self.app.interpreter or sys.executable
        return contained.command(interpreter, ["-m", "gateway.worker.zygote", str(control_fd), *arguments])

    async def _spawn(self, control_fd: int) -> None:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command(control_fd),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=[control_fd],
                cwd="/",
                env=self.environment(),
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        os.set_blocking(read_end, False)
        labels = {"app": str(self.app.ref), "session_id": "", "worker_id": ""}
        self._output = OutputReader(read_end, self._clock, self._output_rate, labels)

    def environment(self) -> dict[str, str]:
        """Return the environment that it runs in."""
        environment = {**scrubbed_environment(), "HOME": tempfile.gettempdir(), **self._added}
        if self.app.interpreter:
            environment["PYTHONPATH"] = str(self._library)
        return environment

    def received(self, frame: pb.FromZygote) -> None:
        """Act on one frame."""
        kind = frame.WhichOneof("frame")
        if kind == "forked":
            answer = self._forking.pop(frame.forked.worker_id, None)
            if answer is not None and not answer.done():
                answer.set_result(frame.forked)
        elif kind == "exited":
            exited = frame.exited
            answer = self._forking.pop(exited.worker_id, None)
            if answer is not None and not answer.done():
                answer.set_exception(ZygoteGone(f"the zygote of {self.app.ref} cannot fork"))
            self._seen_dead.pop(exited.worker_id, None)
            callback = self._exit_callbacks.pop(exited.worker_id, None)
            if callback is not None:
                killed = exited.signal > 0
                callback(WorkerExit(signal=exited.signal) if killed else WorkerExit(exit_code=exited.exit_code))
        elif kind == "loaded" and not self._loaded.done():
            self.functions = [
                FunctionDescription(f.name, f.description, f.input_schema, f.output_schema, f.streams, f.partial_schema)
                for f in frame.loaded.functions
            ]
            self._loaded.set_result(None)
        elif kind == "failed" and not self._loaded.done():
            self._loaded.set_exception(start_error(self.app.ref, frame.failed))

    def closed(self) -> None:
        """The control socket is closed: the process has ended, or is about to."""
        self._control = None
        if not self._loaded.done():
            self._loaded.set_exception(self.ended_early())
        with contextlib.suppress(asyncio.InvalidStateError):
            self._loaded.exception()
        for answer in self._forking.values():
            if not answer.done():
                answer.set_exception(ZygoteGone(str(self.app.ref)))
        self._forking.clear()
        self._leave_untold()

    def ended_early(self) -> Exception:
        """Return what is told when the process ends before it has said anything."""
        return start_exit_error(self.app.ref, WorkerExit(), "the process ended during the import")

    def _leave_untold(self) -> None:
        untold, self._seen_dead = self._seen_dead, {}
        for callback in untold.values():
            callback()


def _kill_unwanted(forked: asyncio.Future[pb.Forked]) -> None:
    if forked.cancelled() or forked.exception() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(forked.result().pid, signal.SIGKILL)  # just forked: no other process can have its id yet


class _Control(asyncio.Protocol):
    def __init__(self, zygote: Zygote) -> None:
        self._zygote = zygote
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                self._zygote.received(pb.FromZygote.FromString(body))
        except (FrameError, DecodeError):
            # An app's import wrote to the zygote's socket. What it is in the middle of can no longer be told.
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._zygote.closed()
