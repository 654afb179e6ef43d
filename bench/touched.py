"""How much memory a call touches in a worker: in pages, which no machine is too slow or too busy for.

With many workers in turn, hardly anything that one of them needs is still in a cache when its next call comes. Most of
what the call costs it then is to fetch pages of its own.

`python -m bench.touched` prints how many private pages (4 KiB each, on most machines) one call of an app which returns
its input touches. It takes Linux's /proc/PID/clear_refs.
"""

import os
import re
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.worker.host import AppHost
from gateway.worker.limits import ProcessLimits
from gateway.worker.loop import new_loop
from gateway.worker.server import serve
from gateway.workers.frames import FrameReader, encode
from sessiongateway.app import BaseApp
from sessiongateway.worker.v1 import worker_pb2 as pb

CALLS = 300
"""Before one is counted: Python makes much of what it needs at the first use, and rewrites code while it learns."""

LOOKS = 15
"""Of which the highest counts: a processor does not mark a page whose address it still has translated."""

INPUT = b'{"n":1,"text":""}'

_PLAUSIBLE, _MOST_LOOKS = 100, 200
"""So many pages any call touches. A machine that is busy may clear the marks as well, and be looked at longer."""

_PATIENCE = 10.0
_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ (....) ")


class Echo(BaseApp):
    """Keeps nothing."""

    async def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Return the input."""
        return input


@contextmanager
def worker() -> Iterator[tuple[int, socket.socket]]:
    """Yield a worker's process id, and a gateway's end of a connection to it."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(directory) / "s")
        listener.bind(path)
        listener.listen()
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            os.setsid()  # a worker that is left alone ends its whole process group
            os._exit(serve(listener, new_loop(), lambda: AppHost(Echo), parent, ProcessLimits()))
        try:
            with socket.socket(socket.AF_UNIX) as gateway:
                gateway.settimeout(_PATIENCE)
                gateway.connect(path)
                yield pid, gateway
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def called(gateway: socket.socket, number: int) -> None:
    """Run one call. Raises ValueError at a wrong answer."""
    call = pb.Call(id=f"call_{number}", function="run", payload=INPUT, format=pb.PAYLOAD_FORMAT_JSON)
    gateway.sendall(encode(pb.ToWorker(call=call)))
    frames = FrameReader()
    while True:
        for body in frames.feed(gateway.recv(65536)):
            frame = pb.FromWorker.FromString(body)
            if frame.HasField("result"):
                if (frame.result.id, frame.result.output) != (call.id, INPUT):
                    raise ValueError("a wrong answer")
                return


def touched(pid: int) -> int:
    """Return how many pages that a process may write to it has touched since they were marked as untouched."""
    kilobytes, counts = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="ascii").splitlines():
        if (mapping := _MAPPING.match(line)) is not None:
            counts = "w" in mapping[1]
        elif counts and line.startswith("Referenced:"):
            kilobytes += int(line.split()[1])
    return kilobytes * 1024 // os.sysconf("SC_PAGE_SIZE")


def pages_of_a_call() -> int:
    """Return how many private pages a call touches in a worker that is warm."""
    most = 0
    with worker() as (pid, gateway):
        for number in range(CALLS):
            called(gateway, number)
        for number in range(CALLS, CALLS + _MOST_LOOKS):
            if number >= CALLS + LOOKS and most >= _PLAUSIBLE:
                break
            Path(f"/proc/{pid}/clear_refs").write_text("1", encoding="ascii")
            called(gateway, number)
            most = max(most, touched(pid))
    return most


def main() -> None:
    """Print the pages of a call."""
    print(pages_of_a_call())


if __name__ == "__main__":
    main()
