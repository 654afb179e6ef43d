"""Opens sessions from where a gateway can be reached, which may be another network namespace than ours.

Run as a program, `python -m bench.opener ADDRESS FIRST COUNT`, it prints a JSON array with the id and the number of
each session that it has opened: the input of the session is the one of this number.
"""

import json
import subprocess
import sys
from collections.abc import Sequence

from bench.client import Client, Opened, an_input
from sessiongateway.v1 import sessions_pb2 as pb
from tools.paths import ROOT

_DEADLINE = 300.0
"""Seconds for all of them. An actor of Ray takes about one to start."""


def open_beside(launcher: Sequence[str], address: str, count: int, first: int = 0) -> list[Opened]:
    """Open sessions in a process that this command starts, each with an input of its own number. Raises RuntimeError
    when one could not be opened, or answered wrongly.
    """
    command = [*launcher, sys.executable, "-m", "bench.opener", address, str(first), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_DEADLINE)
    if done.returncode != 0:
        raise RuntimeError(f"not all of {count} sessions were opened: {done.stderr[-2000:]}")
    return [Opened(pb.Session(id=session_id), an_input(number)) for session_id, number in json.loads(done.stdout)]


def main(address: str, first: int, count: int) -> None:
    """Open them, a few at a time."""
    with Client(address) as client:
        opened = client.open_many(count, first=first)
    print(json.dumps([(each.session.id, first + number) for number, each in enumerate(opened)]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
