"""A worker in a fresh interpreter, for apps with `start_method = "spawn"`.

`python -m gateway.worker.spawned LISTENER_FD APP_DIRECTORY ZYGOTE LIMITS [DOOR]` serves the app in a process that the
zygote has set up; `python -m gateway.worker.spawned describe APP_DIRECTORY` writes what the app offers to standard
output, as one FromZygote message.
"""

import os
import socket
import sys
from pathlib import Path

from gateway.worker.door import Door
from gateway.worker.host import AppHost, describe, failure_of, import_app
from gateway.worker.limits import ProcessLimits
from gateway.worker.loop import new_loop
from gateway.worker.printed import mark_output
from gateway.worker.server import serve
from sessiongateway.worker.v1 import worker_pb2 as pb


def _describe(app_directory: Path) -> None:
    answer_fd = os.dup(1)
    os.dup2(2, 1)  # what the import prints is no part of the answer
    try:
        answer = pb.FromZygote(loaded=describe(AppHost(import_app(app_directory))))
    except BaseException as error:
        answer = pb.FromZygote(failed=failure_of(error))
    with os.fdopen(answer_fd, "wb") as out:
        out.write(answer.SerializeToString())


def main(what: str, app_directory: Path, zygote: str = "0", limits: str = "{}", door: str = "") -> int:
    """Describe or serve the app. Returns the exit code."""
    if what == "describe":
        _describe(app_directory)
        return 0
    mark_output()
    listener = socket.socket(fileno=int(what))
    listener.set_inheritable(False)
    return serve(
        listener,
        new_loop(),
        lambda: AppHost(import_app(app_directory)),
        int(zygote),
        ProcessLimits(limits),
        door=Door.taken(door),
    )


if __name__ == "__main__":
    code = main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
