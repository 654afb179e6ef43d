"""The gateway as process 1, in a PID namespace of its own, as in a container."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.testing.waiting import until
from sessiongateway import Inference
from tests.process.observe import DEADLINE, alive, descendants, worker_directories
from tools.paths import ROOT

KV = ROOT / "examples" / "kv"
NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def _cannot() -> str:
    try:
        done = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        return str(error)
    return done.stderr.strip()


pytestmark = pytest.mark.skipif(bool(_cannot()), reason=f"no PID namespaces here: {_cannot()}")


class Container:
    """Process 1 of a namespace, seen from outside of it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def address(self) -> str:
        """Wait until the gateway serves."""
        line = self._lines.get(timeout=DEADLINE)
        assert line.startswith("listening on ")
        return line.removeprefix("listening on ").strip()

    @property
    def init(self) -> int:
        """The process that is number 1 in there."""
        (pid,) = children_of(self._process.pid)
        return pid

    def exit_code(self) -> int:
        """Wait for its end."""
        return self._process.wait(DEADLINE)

    def close(self) -> None:
        """End everything in it."""
        if self._process.poll() is None:
            self._process.kill()  # and with it, by --kill-child, process 1 and all others
            self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        assert self._process.stdout is not None
        self._process.stdout.close()


def children_of(pid: int) -> list[int]:
    """Return the processes whose parent this is."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state_of(pid: int) -> str:
    """Return the letter of a process' state, "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def argv(data_dir: Path, *flags: str) -> list[str]:
    """Return the command of a gateway in a namespace of its own."""
    serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir), "--min-idle", "0", "--drain", "end"]
    return [*NAMESPACE, sys.executable, "-m", "gateway.cli", *serve, "--app", f"kv={KV}", *flags]


@contextmanager
def container(data_dir: Path, *flags: str) -> Iterator[Container]:
    """Run a gateway as process 1. At the end nothing of it is left."""
    environment = {**os.environ, "SGW_WORKERS_ISOLATION": "process"}  # or bwrap would stand between zygote and gateway
    process = subprocess.Popen(argv(data_dir, *flags), stdout=subprocess.PIPE, text=True, env=environment)
    running = Container(process)
    try:
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_signal_to_process_1_stops_the_gateway_in_order(data_dir: Path, processes: str) -> None:
    with container(data_dir, "--processes", processes) as gateway:
        with Inference(address=gateway.address()) as client:
            session = client.session("kv")
            session.call({"a": 1})
            everything = descendants(gateway.init)
            os.kill(gateway.init, signal.SIGTERM)
            assert gateway.exit_code() == 0
        assert not alive(everything)
        assert not worker_directories(data_dir)


def test_the_exit_code_is_that_of_the_gateway(data_dir: Path) -> None:
    done = subprocess.run(
        argv(data_dir, "--listen", "nonsense"), capture_output=True, text=True, check=False, timeout=DEADLINE
    )
    assert done.returncode == 2
    assert "--listen" in done.stderr


def test_a_gateway_that_is_killed_ends_the_container_with_what_a_shell_would_say(data_dir: Path) -> None:
    with container(data_dir) as gateway:
        gateway.address()
        (child,) = children_of(gateway.init)
        os.kill(child, signal.SIGKILL)
        assert gateway.exit_code() == 128 + signal.SIGKILL


async def test_a_worker_whose_zygote_has_died_is_reaped_when_its_session_ends(data_dir: Path) -> None:
    with container(data_dir) as gateway, Inference(address=gateway.address()) as client:
        session = client.session("kv")
        session.call({"a": 1})
        (serving,) = children_of(gateway.init)
        (zygote,) = (child for child in children_of(serving) if children_of(child))
        (worker,) = children_of(zygote)
        os.kill(zygote, signal.SIGKILL)
        await until(lambda: worker in children_of(gateway.init))
        assert session.call().output["state"] == {"a": 1}
        session.end()
        await until(lambda: state_of(worker) == "")
