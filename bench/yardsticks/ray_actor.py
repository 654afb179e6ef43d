"""A plain Ray actor, called from Python by the process that made it: no gRPC ingress in between.

Run as a program in .venv/bench: prints `listening on stdin`. Each line of standard input is then a JSON object
`{"calls": 1000, "in_flight": 64}`, and is answered by one, `{"rate": calls per second, "p50_ms": milliseconds}`. Every
answer of the actor is checked. Ends when standard input is closed.
"""

import json
import statistics
import sys
import time

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
    """Calls one actor."""

    def __init__(self) -> None:
        self._actor = Echo.remote()  # type: ignore[attr-defined]  # Ray's decorator makes it

    def play(self, calls: int, in_flight: int) -> dict[str, float]:
        """Make so many calls and return their rate (1/s) and the median of their latencies (ms)."""
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
        return {"rate": calls / (time.perf_counter() - began), "p50_ms": 1000 * statistics.median(times)}

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
            print(json.dumps(caller.play(asked["calls"], asked["in_flight"])), flush=True)


if __name__ == "__main__":
    main()
