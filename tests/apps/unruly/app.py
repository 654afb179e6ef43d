"""An app that takes what it can get, and does not let go."""

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sessiongateway.app import BaseApp

PAUSE = "import signal; signal.pause()"


def report(gate: str, word: str) -> None:
    """Tell a test that this is about to happen."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(gate)
        connection.sendall(f"{word}\n".encode())


def away(what: Any) -> int:
    """Do something in a process that has left the group, the session and its parent. Returns its id."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        grandchild = os.fork()
        if grandchild == 0:
            os.close(read_end)
            os.close(write_end)
            os.chdir("/")
            os.closerange(0, 256)
            what()
            os._exit(0)
        os.write(write_end, str(grandchild).encode())
        os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as answer:
        return int(answer.read())


def pause_for_ever() -> None:
    """Wait for what never comes."""
    while True:
        signal.pause()


class App(BaseApp):
    """One instance per worker."""

    def __init__(self) -> None:
        self.calls = 0
        self.hoard: list[bytearray] = []
        self.at_unload = ""

    def run(self, input: dict[str, Any]) -> dict[str, Any]:
        """Behave."""
        self.calls += 1
        return {"calls": self.calls, "pid": os.getpid(), "text": input.get("text", "")}

    async def exceed(self, input: dict[str, Any]) -> None:
        """Call a function of this app, and then wait for ever."""
        await asyncio.to_thread(report, input.pop("gate"), "exceeding")
        ((name, argument),) = input.items()
        getattr(self, name)(argument)
        await asyncio.sleep(600)

    # Memory

    def allocate(self, input: dict[str, Any]) -> dict[str, Any]:
        """Take that many bytes at once, and keep them."""
        self.hoard.append(bytearray(input["bytes"]))
        return {"pid": os.getpid()}

    def devour(self) -> None:
        """Take memory in smaller and smaller pieces until there is next to none, and keep it all."""
        size = 1024 * 1024
        while True:
            try:
                self.hoard.append(bytearray(size))
            except MemoryError:
                if size <= 2**18:  # what another call needs to begin at all
                    raise
                size //= 2

    def release(self) -> dict[str, Any]:
        """Give it back."""
        self.hoard.clear()
        return {"pid": os.getpid()}

    def share_out(self, input: dict[str, Any]) -> dict[str, Any]:
        """Have so many children take so many bytes each."""
        code = f"x = bytearray(b'x') * {input['bytes']}; print('!', flush=True); {PAUSE}"
        for _ in range(input["children"]):
            child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
            assert child.stdout is not None
            child.stdout.readline()
        return {}

    def reserve(self, input: dict[str, Any]) -> dict[str, Any]:
        """Reserve address space, and use none of it."""
        with mmap.mmap(-1, input["bytes"], flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0):
            return {}

    # Processes

    def fork_away(self) -> dict[str, Any]:
        """Leave a daemon behind that is a copy of this process."""
        return {"pid": away(pause_for_ever)}

    def exec_away(self) -> dict[str, Any]:
        """Leave a daemon behind that is another program, and knows nothing of this one."""
        return {"pid": away(lambda: os.execve(sys.executable, [sys.executable, "-c", PAUSE], {}))}

    def children(self, input: dict[str, Any]) -> dict[str, Any]:
        """Start so many children, in other groups."""
        started = [
            subprocess.Popen([sys.executable, "-S", "-c", PAUSE], start_new_session=True)
            for _ in range(input["children"])
        ]
        return {"pids": [child.pid for child in started]}

    def bomb(self, input: dict[str, Any]) -> None:
        """Double the number of processes, so many times, each in a session of its own; then wait."""
        for _ in range(input["doublings"]):
            with contextlib.suppress(OSError):
                if os.fork() == 0:
                    os.setsid()
        pause_for_ever()

    # Files

    def write(self, input: dict[str, Any]) -> dict[str, Any]:
        """Write so many files of so many bytes, in the working directory and in the temporary one."""
        for place in (".", tempfile.gettempdir()):
            for number in range(input["files"]):
                Path(place, f"file{number}").write_bytes(b"x" * input["bytes"])
        return {}

    def sparse(self, input: dict[str, Any]) -> dict[str, Any]:
        """Write a file with a hole of that size."""
        with Path(input["name"]).open("wb") as file:
            file.truncate(input["bytes"])
        return {}

    def open(self, input: dict[str, Any]) -> dict[str, Any]:
        """Open so many files at a time."""
        with contextlib.ExitStack() as stack:
            for _ in range(input["files"]):
                stack.enter_context(Path("/dev/null").open("rb"))
        return {}

    # Time

    def sleep(self, input: dict[str, Any]) -> dict[str, Any]:
        """Block the loop in C code."""
        if "gate" in input:
            report(input["gate"], "sleeping")
        time.sleep(input["seconds"])
        return {"slept": True}

    async def wait(self, input: dict[str, Any]) -> dict[str, Any]:
        """Wait, and give way when it is cancelled."""
        self.calls += 1
        if "gate" in input:
            await asyncio.to_thread(report, input["gate"], "waiting")
        await asyncio.sleep(input["seconds"])
        return {"waited": True}

    async def persist(self, input: dict[str, Any]) -> dict[str, Any]:
        """Wait, whoever cancels it."""
        if "gate" in input:
            await asyncio.to_thread(report, input["gate"], "persisting")
        until = time.monotonic() + input["seconds"]
        while time.monotonic() < until:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(until - time.monotonic())
        return {"persisted": True}

    # The end

    def resist(self, input: dict[str, Any]) -> dict[str, Any]:
        """Prepare not to end: ignore signals or block them, or have unload() never return."""
        if "ignore" in input:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if "mask" in input:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.at_unload = input.get("unload", "")
        return {"pid": os.getpid()}

    def worker_socket(self, input: dict[str, Any]) -> dict[str, Any]:
        """Write to the worker's socket, or close it."""
        for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the names need no paths
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(entry))) as copy:
                if copy.family == socket.AF_UNIX and copy.getsockname() and copy.getpeername() is not None:
                    if "garbage" in input:
                        os.write(int(entry), bytes.fromhex(input["garbage"]))
                    else:
                        os.close(int(entry))
        return {}

    def flood(self, input: dict[str, Any]) -> dict[str, Any]:
        """Print so many bytes as fast as it goes."""
        for _ in range(input["bytes"] // 1_000_000):
            sys.stdout.write(("y" * 99 + "\n") * 10_000)
        return {}

    async def unload(self) -> None:
        """Do what was asked for."""
        if self.at_unload == "block":
            pause_for_ever()
        while self.at_unload == "wait":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(300)
