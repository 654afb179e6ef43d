"""What the figures were measured on, and with."""

import os
import platform
import re
import sqlite3
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from gateway.testing.redis_server import redis_program
from tools.paths import ROOT

_speaks_by_itself = True
try:
    from gateway.rpc.http2._nghttp2 import nghttp2_version_text
except ImportError:
    _speaks_by_itself = False

_LIBRARIES = ("grpcio", "protobuf", "uvloop", "pydantic")


def machine() -> dict[str, Any]:
    """Return the processor, the number of processors that may be used, the memory in GB, the load of the last
    minute, and the system.
    """
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory("MemTotal") / 1e9, 1),
        "load_average": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def memory(name: str) -> int:
    """Return a field of /proc/meminfo, such as MemAvailable, in bytes."""
    return int(_field("/proc/meminfo", name).split()[0]) * 1024


def versions() -> dict[str, str]:
    """Return the versions of what takes part."""
    libraries = {name: metadata.version(name) for name in _LIBRARIES}
    found = {
        "session-gateway": metadata.version("session-gateway"),
        "python": platform.python_version(),
        **libraries,
        "nghttp2": _nghttp2(),
        "sqlite": sqlite3.sqlite_version,
        "redis": _redis(),
        "go": _said_by("go", "version"),
        "etcd": _said_by("etcd", "--version"),
        "ray": _ray(),
    }
    return {name: version for name, version in found.items() if version}


def _said_by(*command: str) -> str:
    """Return the first word with a dot in it that the program prints, its version; "" where there is none."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return next((word.removeprefix("go") for word in said.split() if "." in word), "")


def _redis() -> str:
    """Return the version of the Redis on PATH, which it gives as v=VERSION; "" where there is none."""
    program = redis_program()
    return _said_by(program, "--version").removeprefix("v=") if program else ""


def _nghttp2() -> str:
    """Return the version of the library by which the gateway speaks HTTP/2; "" where it does so by grpcio."""
    return nghttp2_version_text() if _speaks_by_itself else ""


def _ray() -> str:
    """Return the version of Ray that is locked for the yardsticks."""
    lock = (ROOT / "requirements" / "bench.lock").read_text(encoding="utf-8")
    found = re.search(r"^ray==(\S+)", lock, re.MULTILINE)
    return found[1] if found else ""


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return ""
