"""The least that worker processes can be: each waits, receives, reads JSON, writes JSON and sends. There is no gateway,
only the process that forked them and sends to them over socket pairs.

Run as a program: prints `listening on stdin`. Each line of standard input is then a JSON object `{"workers": 1000,
"called": [0, 100, 200], "in_flight": 2, "calls": 2000, "warmup": 200}`: so many workers are to live, and these of them
are called in turn, so many at a time. It is answered by `{"rate": calls per second}`. Every answer of a worker is
checked. All workers are gone when standard input is closed, and also when the program is killed: their sockets are
closed then.
"""

import gc
import json
import os
import resource
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import NoReturn

_AT_ONCE = 65536
_PATIENCE = 30.0
"""Seconds that a worker may take to answer."""


class Workers:
    """Forked workers, and the other ends of their sockets."""

    def __init__(self) -> None:
        self._ends: list[socket.socket] = []
        self._pids: list[int] = []

    def grow(self, count: int) -> None:
        """Fork workers until so many live. Raises OSError where the system has no room for them."""
        gc.collect()
        # What the collector would write to, every worker would have to copy.
        gc.freeze()
        while len(self._ends) < count:
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if not pid:
                _work(theirs)
            theirs.close()
            self._ends.append(ours)
            self._pids.append(pid)

    def play(self, called: Sequence[int], in_flight: int, calls: int) -> float:
        """Call these workers in turn, so many at a time, and return the rate (1/s).

        Raises ValueError for a wrong answer and TimeoutError when none comes.
        """
        peers = {self._ends[number].fileno(): (self._ends[number], _text(number)) for number in called}
        resting = deque(peers.values())
        with select.epoll() as poller:
            for descriptor in peers:
                poller.register(descriptor, select.EPOLLIN)
            began = time.perf_counter()
            sent = answered = 0
            while answered < calls:
                while sent < calls and sent - answered < in_flight:
                    end, text = resting.popleft()
                    end.send(text)
                    sent += 1
                ready = poller.poll(_PATIENCE)
                if not ready:
                    raise TimeoutError(f"no worker has answered for {_PATIENCE:g} s")
                for descriptor, _ in ready:
                    end, text = peer = peers[descriptor]
                    if (answer := end.recv(_AT_ONCE)) != text:
                        raise ValueError(f"a wrong answer: {answer!r}")
                    resting.append(peer)
                answered += len(ready)
            return calls / (time.perf_counter() - began)

    def close(self) -> None:
        """End all workers, and wait until they are gone."""
        for end in self._ends:
            end.close()
        for pid in self._pids:
            os.waitpid(pid, 0)


def _text(number: int) -> bytes:
    """Return what this worker is sent, and no other, as JSON is written."""
    return json.dumps({"n": number, "text": ""}, separators=(",", ":")).encode()


def _work(end: socket.socket) -> NoReturn:
    """Answer until the other end is closed. The process ends with it."""
    try:
        # Ends of other workers that stayed open here would keep those from seeing that theirs is closed.
        kept = end.fileno()
        os.closerange(0, 2)
        os.closerange(3, kept)
        os.closerange(kept + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        end.setblocking(False)
        poller = select.epoll()
        poller.register(kept, select.EPOLLIN)
        while True:
            poller.poll()
            request = end.recv(_AT_ONCE)
            if not request:
                os._exit(0)
            end.send(json.dumps(json.loads(request), separators=(",", ":")).encode())
    finally:
        os._exit(1)


def main() -> None:
    """Play what standard input asks for."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    workers = Workers()
    try:
        print("listening on stdin", flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            workers.grow(asked["workers"])
            workers.play(asked["called"], asked["in_flight"], asked["warmup"])
            rate = workers.play(asked["called"], asked["in_flight"], asked["calls"])
            print(json.dumps({"rate": rate}), flush=True)
    finally:
        workers.close()


if __name__ == "__main__":
    main()
