"""An app whose functions do what a function should not."""

import contextlib
import ctypes
import math
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from sessiongateway.app import BaseApp


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")


def nested(depth: int) -> dict[str, Any]:
    """Return an object with so many levels."""
    tree: dict[str, Any] = {}
    for _ in range(depth):
        tree = {"deeper": tree}
    return tree


class App(BaseApp):
    def __init__(self) -> None:
        self.calls = 0

    def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Behave."""
        self.calls += 1
        return {"calls": self.calls}

    def raises(self, input: dict[str, Any]) -> None:
        """Raise with a text of that many letters."""
        self.calls += 1
        raise ValueError("x" * int(input.get("length", 3)))

    def raises_unprintable(self) -> None:
        """Raise what cannot be shown."""
        raise Unprintable

    def raises_surrogate(self) -> None:
        """Raise with a text that UTF-8 does not have."""
        raise ValueError("\ud800")

    def raises_deeply(self) -> None:
        """Recurse until Python gives up."""
        self.raises_deeply()

    def raises_interrupt(self) -> None:
        """Raise what is no Exception."""
        raise KeyboardInterrupt

    def exits(self, input: dict[str, Any]) -> None:
        """Leave with sys.exit."""
        sys.exit(int(input["code"]))

    def exits_at_once(self, input: dict[str, Any]) -> None:
        """Leave without a word."""
        os._exit(int(input["code"]))

    def segfaults(self) -> None:
        """Read from address zero."""
        ctypes.string_at(0)

    def kills_itself(self) -> None:
        """Send SIGKILL to the own process."""
        os.kill(os.getpid(), signal.SIGKILL)

    def closes_everything(self) -> dict[str, Any]:
        """Close each open file, the gateway's socket among them."""
        os.closerange(3, 256)
        return {}

    def closes_connection(self) -> None:
        """Close the socket to the gateway, and stay there for ever."""
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as copy:
                if copy.family == socket.AF_UNIX and copy.getsockname():
                    copy.shutdown(socket.SHUT_RDWR)
        while True:
            signal.pause()

    def prints(self, input: dict[str, Any]) -> dict[str, Any]:
        """Print that many bytes in lines, as many to standard error, and a line without an end."""
        lines = int(input["bytes"]) // 64
        for stream in (sys.stdout, sys.stderr):
            for _ in range(lines):
                stream.write("noise" * 12 + "...\n")
        sys.stdout.write("x" * 100_000)
        self.calls += 1
        return {"calls": self.calls}

    def returns_list(self) -> Any:
        """Return no object."""
        return [1, 2]

    def returns_text(self) -> Any:
        """Return no object."""
        return "text"

    def returns_nan(self) -> dict[str, Any]:
        """Return what JSON does not have."""
        return {"value": math.nan}

    def returns_infinity(self) -> dict[str, Any]:
        """Return what JSON does not have."""
        return {"values": [-math.inf]}

    def returns_instance(self) -> dict[str, Any]:
        """Return an object of a class of its own."""
        return {"value": self}

    def returns_cycle(self) -> dict[str, Any]:
        """Return what contains itself."""
        cycle: dict[str, Any] = {}
        cycle["self"] = cycle
        return cycle

    def returns_deep(self) -> dict[str, Any]:
        """Return more levels than can be written."""
        return nested(100_000)

    def returns_megabytes(self, input: dict[str, Any]) -> dict[str, Any]:
        """Return that many bytes."""
        return {"text": "x" * int(input["bytes"])}
