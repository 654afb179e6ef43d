"""The zygote: one process per app version that has imported the app and forks workers from there.

`python -m gateway.worker.zygote CONTROL_FD fork|spawn APP_DIRECTORY LIMITS CONFINEMENT`. Talks frames over the control
socket; when that closes, the gateway is gone, and the zygote goes too, while its workers live on. It never constructs
the app. A fork takes about 2.5 ms where a fresh interpreter takes 85 ms (docs/adr/0002-zygote.md). With `spawn` it does
not import the app either, and each worker is a fresh interpreter: for apps whose imports start threads or hold a
device, which a fork does not survive.
"""

import contextlib
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from gateway.worker.confinement import Confinement
from gateway.worker.door import Door, bound
from gateway.worker.family import adopt_orphans, end_families, mark_of, orphaned_marks, orphans
from gateway.worker.host import AppHost, describe, failure_of, import_app
from gateway.worker.limits import ProcessLimits
from gateway.worker.loop import WorkerLoop, new_loop
from gateway.worker.printed import mark_output
from gateway.worker.process import CANNOT_ENTER_EXIT, enter, socket_in
from gateway.worker.server import START_FAILED_EXIT, serve
from gateway.worker.warm import warm_up
from gateway.workers.frames import FrameReader, encode
from sessiongateway.worker.v1 import worker_pb2 as pb

BecomeWorker = Callable[[socket.socket, Door | None, pb.Fork], NoReturn]
"""Makes a process, fresh from a fork, a worker: with its listener, and its door if it has one."""


class Zygote:
    """Answers Fork with a new worker and tells how each ends."""

    def __init__(
        self,
        control: socket.socket,
        become_worker: BecomeWorker,
        confinement: Confinement,
    ) -> None:
        self._control = control
        self._become_worker = become_worker
        self._confinement = confinement
        self._wakeup: tuple[int, ...] = ()
        self._workers: dict[int, str] = {}
        self._users: dict[str, int] = {}
        self._supervised: set[int] = set()
        """The workers that do not outlive this process."""

    def run(self) -> None:
        """Serve until the gateway closes the control socket. The workers live on, but for those with a door: whoever
        looks after those is gone then.
        """
        wake_read, wake_write = self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        reader = FrameReader()
        while True:
            readable, _, _ = select.select([self._control.fileno(), wake_read], [], [])
            if wake_read in readable:
                os.read(wake_read, 4096)
                self._reap()
            if self._control.fileno() in readable:
                data = b""
                with contextlib.suppress(ConnectionResetError):  # the gateway died with something yet to read
                    data = self._control.recv(65536)
                if not data:
                    self._end_supervised()
                    return
                for body in reader.feed(data):
                    self._fork(pb.ToZygote.FromString(body).fork)

    def _end_supervised(self) -> None:
        for pid in self._supervised & self._workers.keys():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            end_families({mark_of(self._workers.pop(pid))})

    def _fork(self, request: pb.Fork) -> None:
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
            print(f"cannot fork a worker: {error}", file=sys.stderr, flush=True)
            exited = pb.Exited(worker_id=request.worker_id, exit_code=START_FAILED_EXIT)
            self._send(pb.FromZygote(exited=exited))
            return
        if pid == 0:
            self._control.close()
            for descriptor in self._wakeup:
                os.close(descriptor)
            door = None if outer is None else Door(outer, request.door.key, request.door.purpose)
            self._become_worker(listener, door, request)
        listener.close()
        self._workers[pid] = request.worker_id
        forked = pb.Forked(worker_id=request.worker_id, pid=pid)
        if outer is not None:
            forked.port = outer.getsockname()[1]
            outer.close()
            self._supervised.add(pid)
        self._send(pb.FromZygote(forked=forked))

    def _reap(self) -> None:
        ended: dict[str, int] = {}
        with contextlib.suppress(ChildProcessError):
            while (info := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                worker_id = self._workers.pop(info.si_pid, None)
                self._supervised.discard(info.si_pid)
                if worker_id is not None:
                    # Before it is reaped, while nobody else can have its id. Whoever else ends was some worker's.
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(info.si_pid, signal.SIGKILL)
                _, status = os.waitpid(info.si_pid, 0)
                if worker_id is not None:
                    ended[worker_id] = self._confinement.exit_of(os.waitstatus_to_exitcode(status))
        if not ended:
            return
        _end_families(ended, self._workers)
        users = [self._users.pop(worker_id) for worker_id in ended if worker_id in self._users]
        if users and orphans(self._workers) != []:
            self._confinement.end_users(users)
        for worker_id, code in ended.items():
            exited = pb.Exited(worker_id=worker_id, exit_code=max(code, 0), signal=max(-code, 0))
            self._send(pb.FromZygote(exited=exited))

    def _send(self, frame: pb.FromZygote) -> None:
        # A gateway that is gone shows as the end of the control socket at the next turn.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(encode(frame))


def _end_families(ended: Iterable[str], workers: Container[int]) -> None:
    """Kill those whom workers that have died leave behind outside their process groups."""
    # The children of the dead are now those of this process. If none of a family is there, nor is any of theirs.
    marks = orphaned_marks(ended, workers)
    if marks:
        end_families(marks)


def _worker_by_fork(host: AppHost, loop: WorkerLoop, limits: ProcessLimits, confinement: Confinement) -> BecomeWorker:
    zygote = os.getpid()

    def become(listener: socket.socket, door: Door | None, request: pb.Fork) -> NoReturn:
        code = START_FAILED_EXIT
        try:
            code = CANNOT_ENTER_EXIT
            enter(request.directory, request.worker_id, confinement, supervised=door is not None)
            code = START_FAILED_EXIT
            loop.renew()
            code = serve(listener, loop, lambda: host, zygote, limits, door=door)
        finally:
            _exit(code)

    return become


def _worker_by_spawn(app_directory: Path, limits: ProcessLimits, confinement: Confinement) -> BecomeWorker:
    zygote = os.getpid()
    # The end of a pipe that nobody but this process can write to: it ends with this process.
    alive = os.pipe2(os.O_CLOEXEC)[0] if confinement.sandbox else -1

    def become(listener: socket.socket, door: Door | None, request: pb.Fork) -> NoReturn:
        code = CANNOT_ENTER_EXIT
        try:
            parent = str(zygote)
            if confinement.sandbox:
                # Another parent, and other process ids, are in there. Opened anew: to whom the kernel sends its signal
                # is noted for each opening.
                opened = os.open(f"/proc/self/fd/{alive}", os.O_RDONLY | os.O_NONBLOCK)
                os.set_inheritable(opened, True)
                parent = str(-opened)
            enter(request.directory, request.worker_id, confinement, supervised=door is not None)
            code = START_FAILED_EXIT
            os.set_inheritable(listener.fileno(), True)
            arguments = [str(listener.fileno()), str(app_directory), parent, limits.text]
            if door is not None:
                arguments.append(door.handed_over())
            command = confinement.command(
                ["-m", "gateway.worker.spawned", *arguments], request.directory, str(app_directory)
            )
            os.execv(command[0], command)
        finally:
            os._exit(code)

    return become


def _exit(code: int) -> NoReturn:
    # Not sys.exit: the frames above belong to the zygote and have nothing to clean up here. What the app left running,
    # threads above all, goes with the process.
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


@contextlib.contextmanager
def _dying_with_gateway(control: socket.socket) -> Iterator[None]:
    """End this process when the gateway is gone, also in the middle of an import that never ends.

    The gateway writes nothing before it has heard that the app is loaded: whatever there is to read is its end.
    """
    flags = fcntl.fcntl(control, fcntl.F_GETFL)
    fcntl.fcntl(control, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(control, fcntl.F_SETFL, flags | os.O_ASYNC)  # the kernel sends SIGIO, which nobody handles
    if select.select([control], [], [], 0)[0]:
        os._exit(START_FAILED_EXIT)
    try:
        yield
    finally:
        fcntl.fcntl(control, fcntl.F_SETFL, flags)


def _prepare_fork(
    app_directory: Path, control: socket.socket, limits: ProcessLimits, confinement: Confinement
) -> tuple[pb.Loaded, BecomeWorker]:
    mark_output()
    with _dying_with_gateway(control):
        host = AppHost(import_app(app_directory))
    if threading.active_count() > 1:
        print("the app's imports started threads, which a fork does not keep: set start_method = 'spawn'", flush=True)
    # What is there now is shared with every worker until it is written to; the collector would write to all of it.
    loop = new_loop()
    warm_up(loop)
    described = describe(host)
    gc.collect()
    gc.freeze()
    return described, _worker_by_fork(host, loop, limits, confinement)


def _description(app_directory: Path, control: socket.socket, confinement: Confinement) -> bytes:
    """Return what a fresh interpreter writes about the app. Its end, and this one's, when the gateway is gone."""
    answer = b""
    with confinement.describing(app_directory) as process:
        assert process.stdout is not None
        source, gateway = process.stdout.fileno(), control.fileno()
        while True:
            readable, _, _ = select.select([source, gateway], [], [])
            if gateway in readable:
                process.kill()
                process.wait()
                os._exit(START_FAILED_EXIT)
            piece = os.read(source, 65536)
            if not piece:
                return answer
            answer += piece


def _prepare_spawn(
    app_directory: Path, control: socket.socket, limits: ProcessLimits, confinement: Confinement
) -> tuple[pb.Loaded, BecomeWorker]:
    answer = pb.FromZygote.FromString(_description(app_directory, control, confinement))
    confinement.leave()
    if answer.WhichOneof("frame") == "loaded":
        return answer.loaded, _worker_by_spawn(app_directory, limits, confinement)
    failure = answer.failed if answer.HasField("failed") else pb.Failure(type="SystemExit", message="the import exited")
    raise _DescribedFailureError(failure)


class _DescribedFailureError(Exception):
    def __init__(self, failure: pb.Failure) -> None:
        self.failure = failure


def main(
    control_fd: int, start_method: str, app_directory: Path, limits: ProcessLimits, confinement: Confinement
) -> int:
    """Import the app, tell the gateway, and fork workers until it is gone. Returns the exit code."""
    control = socket.socket(fileno=control_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the whole group; the gateway decides
    adopt_orphans()
    prepare = _prepare_spawn if start_method == "spawn" else _prepare_fork
    try:
        confinement.enter(start_method)
        limits.enter()
        loaded, become_worker = prepare(app_directory, control, limits, confinement)
    except BaseException as error:
        failure = error.failure if isinstance(error, _DescribedFailureError) else failure_of(error)
        control.sendall(encode(pb.FromZygote(failed=failure)))
        return START_FAILED_EXIT
    try:
        control.sendall(encode(pb.FromZygote(loaded=loaded)))
        Zygote(control, become_worker, confinement).run()
    except ConnectionError:
        pass  # the gateway is gone
    confinement.leave()
    return 0


if __name__ == "__main__":
    options = ProcessLimits(sys.argv[4]), Confinement(*sys.argv[5:])
    _exit(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), *options))
