"""The zygote: one process per app version that has imported the app and forks workers from there.

`python -m gateway.worker.zygote CONTROL_FD fork|spawn APP_DIRECTORY LIMITS CONFINEMENT`. Talks frames over the control
socket; when that closes, the gateway is gone, and the zygote goes too, while its workers live on. It never constructs
the app. A fork takes about 2.5 ms where a fresh interpreter takes 85 ms (docs/adr/0002-zygote.md). With `spawn` it does
not import the app either, and each worker is a fresh interpreter: for apps whose imports start threads or hold a
device, which a fork does not survive.

With LISTENER_FD DIRECTORY OUTPUT_FD besides it is shared, and belongs to nobody: others come by that socket
(gateway/worker/gate.py), each has a control socket of its own, with which its workers end, and the zygote goes when
nobody has been there for a while (docs/adr/0045-one-zygote-for-a-node.md).
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
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from gateway.worker.confinement import Confinement
from gateway.worker.door import Door
from gateway.worker.family import adopt_orphans
from gateway.worker.gate import Gate
from gateway.worker.host import AppHost, describe, failure_of, import_app
from gateway.worker.limits import ProcessLimits
from gateway.worker.loop import WorkerLoop, new_loop
from gateway.worker.nursery import BecomeWorker, Nursery
from gateway.worker.printed import mark_output
from gateway.worker.process import CANNOT_ENTER_EXIT, enter
from gateway.worker.server import START_FAILED_EXIT, serve
from gateway.worker.warm import warm_up
from gateway.workers.frames import encode
from sessiongateway.worker.v1 import worker_pb2 as pb


def _worker_by_fork(host: AppHost, loop: WorkerLoop, limits: ProcessLimits, confinement: Confinement) -> BecomeWorker:
    zygote = os.getpid()

    def become(listener: socket.socket, door: Door | None, request: pb.Fork) -> NoReturn:
        code = START_FAILED_EXIT
        try:
            code = CANNOT_ENTER_EXIT
            enter(request.directory, request.worker_id, confinement, supervised=door is not None)
            code = START_FAILED_EXIT
            if limits.deferred:
                limits.enter_worker()
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


def _tell_failed(control: socket.socket, gate: Gate | None, error: BaseException) -> None:
    failure = error.failure if isinstance(error, _DescribedFailureError) else failure_of(error)
    frame = encode(pb.FromZygote(failed=failure))
    if gate is not None:
        gate.refuse(frame)
    control.sendall(frame)


def main(
    control_fd: int,
    start_method: str,
    app_directory: Path,
    limits: ProcessLimits,
    confinement: Confinement,
    *,
    gate: Gate | None = None,
) -> int:
    """Import the app, tell the gateway, and fork workers until it is gone. Returns the exit code."""
    control = socket.socket(fileno=control_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the whole group; the gateway decides
    adopt_orphans()
    prepare = _prepare_spawn if start_method == "spawn" else _prepare_fork
    try:
        confinement.enter(start_method)
        limits.enter(shared=gate is not None)
        described, become_worker = prepare(app_directory, control, limits, confinement)
    except BaseException as error:
        _tell_failed(control, gate, error)
        return START_FAILED_EXIT
    Nursery(control, become_worker, confinement, pb.FromZygote(loaded=described), gate).run()
    confinement.leave()
    return 0


def _gate_of(arguments: list[str]) -> Gate | None:
    """Return where others come in, if they may. This process has another parent from then on: none that ends it."""
    if not arguments:
        return None
    descriptor, directory, output = arguments
    # Not from the beginning: were it a file, the streams would have been made for one, and the workers' are pipes.
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(int(output), stream.fileno())
    os.close(int(output))
    if os.fork():
        os._exit(0)
    return Gate(socket.socket(fileno=int(descriptor)), Path(directory))


if __name__ == "__main__":
    options = ProcessLimits(sys.argv[4]), Confinement(sys.argv[5])
    _exit(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), *options, gate=_gate_of(sys.argv[6:])))
