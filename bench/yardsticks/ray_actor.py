"""A plain Ray actor, called from Python by the process that made it: no gRPC ingress in between.

Run as a program in .venv/bench: prints `listening on stdin`. Each line of standard input is then a JSON object
`{"calls": 1000, "in_flight": 64}`, and is answered by one, `{"rate": calls per second, "p50_ms": milliseconds}`. Every
answer of the actor is checked. With `"actors": 64` the calls go to so many of them in turn, one in flight for each, as
sessions are called; with `"actors": 0` all are ended, and nothing is called. `{"address": true}` is answered by where
this Ray is, `{"address": "HOST:PORT"}`. Ends when standard input is closed.
"""

import json
import statistics
import sys
import time
from typing import Any

import ray

from bench.yardsticks.ray_local import ray_running


@ray.remote(num_cpus=0)
class Echo:
    """One process, as a session has one, with something to remember."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, value: bytes) -> bytes:
        """Return the input."""
        self.calls += 1
        return value


class Caller:
    """Calls one actor, or several."""

    def __init__(self) -> None:
        self._actors: list[Any] = []
        self._have(1)

    def play(self, calls: int, in_flight: int, actors: int = 1) -> dict[str, float]:
        """Make so many calls and return their rate (1/s) and the median of their latencies (ms). Of no actor: end all
        that there are, and return nothing.
        """
        if not actors:
            while self._actors:
                ray.kill(self._actors.pop())
            return {}
        if self._have(actors):
            self.play(10 * actors, in_flight, actors)
        sent: dict[ray.ObjectRef, tuple[bytes, float]] = {}
        times: list[float] = []
        began = time.perf_counter()
        for number in range(calls):
            if len(sent) == in_flight:
                times += self._finished(sent)
            value = b'{"n":%d}' % number
            sent[self._actors[number % actors].run.remote(value)] = value, time.perf_counter()
        while sent:
            times += self._finished(sent)
        return {"rate": calls / (time.perf_counter() - began), "p50_ms": 1000 * statistics.median(times)}

    def _have(self, actors: int) -> bool:
        """Start actors until there are so many. Returns whether any were missing."""
        missing = actors - len(self._actors)
        self._actors += [Echo.remote() for _ in range(missing)]  # type: ignore[attr-defined]  # Ray's decorator makes it
        return missing > 0

    def _finished(self, sent: dict[ray.ObjectRef, tuple[bytes, float]]) -> list[float]:
        ready, _ = ray.wait(list(sent), num_returns=1)
        times = []
        for reference, answer in zip(ready, ray.get(ready), strict=True):
            value, began = sent.pop(reference)
            if answer != value:
                raise ValueError(f"a wrong answer: {answer!r}")
            times.append(time.perf_counter() - began)
        return times


def main() -> None:
    """Play what standard input asks for."""
    with ray_running():
        caller = Caller()
        caller.play(200, 8)
        print("listening on stdin", flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            if "address" in asked:
                print(json.dumps({"address": ray.get_runtime_context().gcs_address}), flush=True)
            else:
                print(json.dumps(caller.play(**asked)), flush=True)


if __name__ == "__main__":
    main()
