"""What a zygote does once it has imported the app: it forks workers for all who have a control socket to it."""

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from gateway.timing import CONTROL_PATIENCE, ZYGOTE_LINGER
from gateway.worker.confinement import Confinement
from gateway.worker.door import Door, bound
from gateway.worker.family import end_families, mark_of, orphaned_marks, orphans
from gateway.worker.gate import Gate
from gateway.worker.process import socket_in
from gateway.worker.server import START_FAILED_EXIT
from gateway.workers.frames import FrameReader, encode
from sessiongateway.worker.v1 import worker_pb2 as pb

BecomeWorker = Callable[[socket.socket, Door | None, pb.Fork], NoReturn]
"""Makes a process, fresh from a fork, a worker: with its listener, and its door if it has one."""


@dataclass(eq=False, slots=True)
class _Control:
    """A control socket, whose other end somebody has for whom workers are forked."""

    socket: socket.socket
    reader: FrameReader = field(default_factory=FrameReader)

    def receive(self) -> list[pb.ToZygote] | None:
        """Return what has come; None if the other end is gone."""
        data = b""
        with contextlib.suppress(ConnectionResetError):  # it died with something yet to read
            data = self.socket.recv(65536)
        return [pb.ToZygote.FromString(body) for body in self.reader.feed(data)] if data else None

    def send(self, frame: pb.FromZygote) -> None:
        """Say something. Whoever is gone, or does not read, shows as the end of the socket at the next turn."""
        try:
            self.socket.sendall(encode(frame))
        except (BrokenPipeError, ConnectionResetError):
            pass
        except TimeoutError:
            self.socket.shutdown(socket.SHUT_RDWR)  # half of a frame may be on its way


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process that was forked."""

    id: str
    control: _Control
    supervised: bool
    """It does not outlive whoever it was forked for."""


class Nursery:
    """Answers Fork with a new worker and tells how each ends."""

    def __init__(
        self,
        control: socket.socket,
        become_worker: BecomeWorker,
        confinement: Confinement,
        loaded: pb.FromZygote,
        gate: Gate | None = None,
    ) -> None:
        """`loaded` is the first frame for everybody; `gate` is where others come in, if they may."""
        self._become_worker = become_worker
        self._confinement = confinement
        self._loaded = loaded
        self._gate = gate
        self._controls: dict[int, _Control] = {}
        self._poll = select.poll()
        self._wakeup: tuple[int, ...] = ()
        self._workers: dict[int, _Worker] = {}
        self._users: dict[str, int] = {}
        if gate is not None:
            control.settimeout(CONTROL_PATIENCE)
        self._greet(control)

    def run(self) -> None:
        """Serve until nobody has a control socket any more, and nobody comes for a new one. The workers live on, but
        for those with a door: whoever looks after those is gone then.
        """
        wake_read, wake_write = self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._poll.register(wake_read, select.POLLIN)
        self._open_gate()
        while True:
            ready = [descriptor for descriptor, _ in self._poll.poll(None if self._controls else ZYGOTE_LINGER * 1000)]
            if wake_read in ready:
                os.read(wake_read, 4096)
                self._reap()
            for descriptor in self._controls.keys() & ready:
                self._receive(self._controls[descriptor])
            if self._gate is not None and self._gate.fileno() in ready:
                self._admit(self._gate)
            if not self._controls and (self._gate is None or (not ready and self._gate.shut())):
                return

    def _open_gate(self) -> None:
        if self._gate is not None:
            self._poll.register(self._gate, select.POLLIN)

    def _admit(self, gate: Gate) -> None:
        try:
            accepted = gate.accept()
        except OSError:
            self._poll.unregister(gate)  # no descriptor is left, until somebody goes
            return
        if accepted is not None:
            self._greet(accepted)

    def _greet(self, sock: socket.socket) -> None:
        control = self._controls[sock.fileno()] = _Control(sock)
        self._poll.register(sock, select.POLLIN)
        control.send(self._loaded)

    def _receive(self, control: _Control) -> None:
        frames = control.receive()
        if frames is not None:
            for frame in frames:
                self._fork(control, frame.fork)
            return
        self._poll.unregister(control.socket)
        del self._controls[control.socket.fileno()]
        control.socket.close()
        self._end_supervised(control)
        self._open_gate()

    def _end_supervised(self, control: _Control) -> None:
        pids = [pid for pid, worker in self._workers.items() if worker.control is control and worker.supervised]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        if pids:
            end_families({mark_of(self._workers.pop(pid).id) for pid in pids})

    def _fork(self, control: _Control, request: pb.Fork) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        outer: socket.socket | None = None
        try:
            # Bound before the fork: when the gateway hears of the worker, it can connect.
            listener.bind(socket_in(request.directory))
            listener.listen(8)
            if request.HasField("door"):
                outer = bound(request.door.host)
            if self._confinement.users:
                self._users[request.worker_id] = self._confinement.user_of(request.directory)
            pid = os.fork()
        except OSError as error:
            listener.close()
            if outer is not None:
                outer.close()
            _complain(f"cannot fork a worker: {error}")
            exited = pb.Exited(worker_id=request.worker_id, exit_code=START_FAILED_EXIT)
            control.send(pb.FromZygote(exited=exited))
            return
        if pid == 0:
            self._leave()
            door = None if outer is None else Door(outer, request.door.key, request.door.purpose)
            self._become_worker(listener, door, request)
        listener.close()
        self._workers[pid] = _Worker(request.worker_id, control, outer is not None)
        forked = pb.Forked(worker_id=request.worker_id, pid=pid)
        if outer is not None:
            forked.port = outer.getsockname()[1]
            outer.close()
        control.send(pb.FromZygote(forked=forked))

    def _leave(self) -> None:
        """Close what is the zygote's alone, in a worker."""
        for control in self._controls.values():
            control.socket.close()
        for descriptor in self._wakeup:
            os.close(descriptor)
        if self._gate is not None:
            self._gate.close()

    def _reap(self) -> None:
        ended: dict[_Worker, int] = {}
        with contextlib.suppress(ChildProcessError):
            while (info := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                worker = self._workers.pop(info.si_pid, None)
                if worker is not None:
                    # Before it is reaped, while nobody else can have its id. Whoever else ends was some worker's.
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(info.si_pid, signal.SIGKILL)
                _, status = os.waitpid(info.si_pid, 0)
                if worker is not None:
                    ended[worker] = self._confinement.exit_of(os.waitstatus_to_exitcode(status))
        if not ended:
            return
        _end_families([worker.id for worker in ended], self._workers)
        users = [self._users.pop(worker.id) for worker in ended if worker.id in self._users]
        if users and orphans(self._workers) != []:
            self._confinement.end_users(users)
        for worker, code in ended.items():
            exited = pb.Exited(worker_id=worker.id, exit_code=max(code, 0), signal=max(-code, 0))
            worker.control.send(pb.FromZygote(exited=exited))


def _complain(text: str) -> None:
    # The output of a zygote that is shared is that of whoever started it, who may be gone.
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _end_families(ended: Iterable[str], workers: Container[int]) -> None:
    """Kill those whom workers that have died leave behind outside their process groups."""
    # The children of the dead are now those of this process. If none of a family is there, nor is any of theirs.
    marks = orphaned_marks(ended, workers)
    if marks:
        end_families(marks)
