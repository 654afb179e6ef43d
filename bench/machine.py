"""What the figures were measured on, and with."""

import os
import platform
import sqlite3
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

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
    return {
        "session-gateway": metadata.version("session-gateway"),
        "python": platform.python_version(),
        **libraries,
        "sqlite": sqlite3.sqlite_version,
        **_go_version(),
    }


def _go_version() -> dict[str, str]:
    try:
        said = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"go": said.split()[2].removeprefix("go")}


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return ""
