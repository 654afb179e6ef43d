"""A plain Ray actor, called from Python by the process that made it: no gRPC ingress in between.

Run as a program in .venv/bench: prints `listening on stdin`. Each line of standard input is then a JSON object
`{"calls": 1000, "in_flight": 64}`, and is answered by one, `{"rate": calls per second, "p50_ms": milliseconds}`. Every
answer of the actor is checked. With `"actors": 64` so many are called from an event loop, as a server would that did
without a gateway's own way to its workers: each has one call after another, as a session has, and one in flight; with
`"actors": 0` those are ended, and nothing is called. `{"address": true}` is answered by where this Ray is,
`{"address": "HOST:PORT"}`. Ends when standard input is closed.
"""

import asyncio
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
        self._actor = Echo.remote()  # type: ignore[attr-defined]  # Ray's decorator makes it
        self._actors: list[Any] = []

    def play(self, calls: int, in_flight: int, actors: int | None = None) -> dict[str, float]:
        """Make so many calls and return their rate (1/s) and the median of their latencies (ms). Of no actor: end all
        but the one, and return nothing.
        """
        if actors is None:
            return _result(calls, *self._pipelined(calls, in_flight))
        while len(self._actors) > actors:
            ray.kill(self._actors.pop())
        if not actors:
            return {}
        missing = actors - len(self._actors)
        self._actors += [Echo.remote() for _ in range(missing)]  # type: ignore[attr-defined]
        if missing:
            asyncio.run(self._in_turn(10 * actors))
        return _result(calls, *asyncio.run(self._in_turn(calls)))

    def _pipelined(self, calls: int, in_flight: int) -> tuple[float, list[float]]:
        sent: dict[ray.ObjectRef, tuple[bytes, float]] = {}
        times: list[float] = []
        began = time.perf_counter()
        for number in range(calls):
            if len(sent) == in_flight:
                times += self._finished(sent)
            value = b'{"n":%d}' % number
            sent[self._actor.run.remote(value)] = value, time.perf_counter()
        while sent:
            times += self._finished(sent)
        return time.perf_counter() - began, times

    def _finished(self, sent: dict[ray.ObjectRef, tuple[bytes, float]]) -> list[float]:
        ready, _ = ray.wait(list(sent), num_returns=1)
        times = []
        for reference, answer in zip(ready, ray.get(ready), strict=True):
            value, began = sent.pop(reference)
            times.append(_checked(answer, value, began))
        return times

    async def _in_turn(self, calls: int) -> tuple[float, list[float]]:
        numbers = iter(range(calls))
        times: list[float] = []

        async def session(actor: Any) -> None:
            for number in numbers:
                value, began = b'{"n":%d}' % number, time.perf_counter()
                times.append(_checked(await actor.run.remote(value), value, began))

        began = time.perf_counter()
        await asyncio.gather(*map(session, self._actors))
        return time.perf_counter() - began, times


def _checked(answer: bytes, value: bytes, began: float) -> float:
    """Return how long a call took. Raises ValueError at a wrong answer."""
    if answer != value:
        raise ValueError(f"a wrong answer: {answer!r}")
    return time.perf_counter() - began


def _result(calls: int, seconds: float, times: list[float]) -> dict[str, float]:
    return {"rate": calls / seconds, "p50_ms": 1000 * statistics.median(times)}


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
