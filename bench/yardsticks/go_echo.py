"""The physical limit, for the record: the same messages answered by grpc-go (bench/echo)."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.figure import LeftOut
from bench.servers import yardstick
from tools.paths import ROOT

PROGRAM = ROOT / "build" / "bench" / "echo"


@contextmanager
def go_echo() -> Iterator[str]:
    """Run it and yield its address. Raises LeftOut when it has not been built."""
    if not PROGRAM.exists():
        raise LeftOut(f"{PROGRAM.name} has not been built; make bench and make bench-quick do that")
    with yardstick([str(PROGRAM)]) as server:
        yield server.address
