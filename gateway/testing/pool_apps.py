"""The apps that the pool suite runs in workers: one that does as it is told, and those that do not start."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.model import AppRef, AppVersion

OBEDIENT = '''
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from sessiongateway.app import BaseApp, current_call


def hold(gate, word):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(gate)
        connection.sendall(f"{word}\\n".encode())
        connection.recv(16)


class App(BaseApp):
    def __init__(self):
        self.calls = 0
        self.state = {}
        self.gate = None

    def run(self, input):
        """Count the calls."""
        self.calls += 1
        return {"calls": self.calls, "pid": os.getpid()}

    def told(self):
        call = current_call()
        return {"trace": [call.traceparent, call.tracestate, call.baggage]}

    def keep(self, input):
        self.state.update(input)
        for place in (".", tempfile.gettempdir()):
            Path(place, "kept").write_text(input["text"])
        os.environ["KEPT"] = input["text"]
        return {}

    def kept(self):
        return {
            "state": self.state,
            "files": [p.name for place in (".", tempfile.gettempdir()) for p in Path(place).iterdir()],
            "environment": os.environ.get("KEPT"),
        }

    def places(self):
        return {"cwd": os.getcwd(), "tmp": tempfile.gettempdir(), "environment": dict(os.environ)}

    async def hold(self, input):
        reader, writer = await asyncio.open_unix_connection(input["gate"])
        try:
            writer.write(f"{input['word']}\\n".encode())
            await reader.readline()
        except asyncio.CancelledError:
            self.state["cancelled"] = input["word"]
            raise
        finally:
            writer.close()
        return {}

    def block(self, input):
        hold(input["gate"], input["word"])
        self.state["blocked"] = True
        return {}

    def yield_some(self, input):
        try:
            for number in range(input["outputs"]):
                self.state["yielded"] = number + 1
                yield {"number": number, "padding": "x" * input["size"]}
            return {"outputs": input["outputs"]}
        finally:
            self.state["closed"] = True

    def fail(self, input):
        raise ValueError(input.get("text", "as asked"))

    def die(self, input):
        if "signal" in input:
            os.kill(os.getpid(), input["signal"])
            signal.pause()
        if "code" in input:
            os._exit(input["code"])
        sys.exit(input["exit"])

    def bear(self):
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        return {"pid": child.pid}

    def at_unload(self, input):
        self.gate = input["gate"]
        if input.get("stubborn"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return {}

    def shout(self, input):
        for number in range(input.get("lines", 1)):
            print(input["text"], file=sys.stderr if input.get("error") else sys.stdout)
        return {}

    def worker_sockets(self, input):
        """Write to, or close, every connected Unix socket of this process."""
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                found = socket.socket(fileno=os.dup(fd))
                connected = found.family == socket.AF_UNIX and found.getsockname().endswith("/s")
                found.getpeername()
            except OSError:
                continue
            if connected and "garbage" in input:
                os.write(fd, bytes.fromhex(input["garbage"]))
            elif connected:
                found.shutdown(socket.SHUT_RDWR)
        return {}

    def lock_away(self):
        Path("locked").mkdir()
        Path("locked", "file").write_text("")
        Path("locked").chmod(0)
        return {}

    def unload(self):
        if self.gate:
            hold(self.gate, "unload")
'''

BROKEN = {
    "an import that raises": ("raise ImportError('no such part')", "ImportError", "no such part"),
    "an import that exits": ("import sys; sys.exit(3)", "SystemExit", "3"),
    "an import that kills the process": ("import os; os.kill(os.getpid(), 9)", "ProcessExit", ""),
    "a syntax error": ("class App(:", "SyntaxError", ""),
    "no class App": ("x = 1", "AppDefinitionError", "App"),
    "a constructor that raises": (
        "{app}    def __init__(self): raise ValueError('built wrong')",
        "ValueError",
        "built",
    ),
    "a setup that raises": ("{app}    async def setup(self): raise KeyError('gone')", "KeyError", "gone"),
    "a setup that exits": ("{app}    def setup(self): raise SystemExit(5)", "SystemExit", "5"),
    "a setup that leaves": ("{app}    def setup(self): import os; os._exit(6)", "ProcessExit", "exit code 6"),
    "a segmentation fault": (
        "{app}    def setup(self): import os; os.kill(os.getpid(), 11)",
        "ProcessExit",
        "signal 11",
    ),
    "a method that cannot be offered": ("{app}    def both(self, a, b): pass", "AppDefinitionError", "both"),
}
"""By what is wrong: the source of `app.py`, the type that the failure has, and a part of its text."""


def write_app(directory: Path, source: str = OBEDIENT, *, name: str = "obedient", **options: Any) -> AppVersion:
    """Write an app directory and return its version. `options` are fields of AppVersion."""
    directory.mkdir(parents=True)
    source = source.replace("{app}", "from sessiongateway.app import BaseApp\nclass App(BaseApp):\n")
    (directory / "app.py").write_text(source)
    return replace(AppVersion(AppRef(name, "1"), directory), **options)
