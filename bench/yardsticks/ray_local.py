"""Ray on this machine alone: without dashboard or usage statistics, with a bounded object store.

Some of its processes listen on every interface, whatever they are told. So it runs in a network namespace of its own,
which has none but loopback (`bench.yardsticks.confined`). This and its neighbours named ray_ run in .venv/bench.
"""

import fcntl
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
# Nobody else can reach it. Otherwise it would make a token in the home directory, and want it from everybody.
os.environ["RAY_AUTH_MODE"] = "disabled"

import ray  # reads its environment when it is loaded

_OBJECT_STORE = 128 * 1024 * 1024
_LONGEST_DIRECTORY = 40
"""Ray's sockets are some 65 characters further down, and a socket's path has 107 at most."""


_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
"""Of network interfaces (netdevice(7))."""


def bring_loopback_up() -> None:
    """Make 127.0.0.1 usable in a fresh network namespace. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(any_socket, _GET_FLAGS, asked), 16)
        if not flags & _UP:
            fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))


@contextmanager
def ray_running() -> Iterator[None]:
    """Run Ray for as long as the context lasts, its files in build/ where that path is short enough."""
    bring_loopback_up()
    build = Path(__file__).resolve().parents[2] / "build"
    where = build if len(str(build)) <= _LONGEST_DIRECTORY else Path(tempfile.gettempdir())
    directory = tempfile.mkdtemp(prefix="ray", dir=where)
    # Ray's processes write what they like to standard output, which here is for one line.
    ray.init(
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=_OBJECT_STORE,
        num_cpus=max(4, os.cpu_count() or 1),
        _temp_dir=directory,
        log_to_driver=False,
        logging_level="error",
    )
    try:
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(directory, ignore_errors=True)


def wait_for_the_end() -> None:
    """Return when standard input is closed."""
    sys.stdin.read()
