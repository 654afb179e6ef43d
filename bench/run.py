"""What is measured, in which order, and what becomes of what cannot be."""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.context import Bench
from bench.figure import Figure, LeftOut, Series
from bench.figures import (
    calls,
    expiry,
    growth,
    imports,
    listing,
    live,
    memory,
    opening,
    payload,
    processes,
    ray,
    records,
    stores,
    streams,
)
from bench.report import Results

Measure = Callable[[Bench], Iterator[Figure | Series]]

GROUPS: Mapping[str, tuple[Measure, bool]] = {
    "calls": (calls.measure, True),
    "go": (calls.against_go, False),
    "serve": (ray.against_serve, False),
    "actor": (ray.against_actor, False),
    "opening": (opening.measure, True),
    "streams": (streams.measure, True),
    "memory": (memory.per_session, True),
    "expiry": (expiry.measure, True),
    "listing": (listing.measure, False),
    "payload": (payload.measure, True),
    "soak": (memory.soak, False),
    "imports": (imports.measure, True),
    "live": (live.measure, False),
    "growth": (growth.measure, False),
    "processes": (processes.measure, False),
}
"""What is measured, in this order, and whether a quick run has it."""

CLUSTER: Mapping[str, tuple[Measure, bool]] = {
    "redis": (stores.in_redis, True),
    "ray": (stores.on_ray, False),
    "records": (records.measure, False),
}
"""The same of `make bench-cluster`."""


def measure(
    bench: Bench, names: Sequence[str], results: Results, groups: Mapping[str, tuple[Measure, bool]] = GROUPS
) -> None:
    """Measure these groups one after another; one that fails does not keep the others from being measured."""
    began = time.monotonic()
    for name in names:
        bench.note(f"{time.monotonic() - began:5.0f} s  {name}")
        try:
            for found in groups[name][0](bench):
                if isinstance(found, Figure):
                    results.figures.append(found)
                else:
                    results.series.append(found)
        except LeftOut as reason:
            results.left_out[name] = str(reason)
        except Exception as error:  # noqa: BLE001  # whatever went wrong is in the results
            results.failed[name] = f"{type(error).__name__}: {error}"
            traceback.print_exc()
    results.seconds = time.monotonic() - began
