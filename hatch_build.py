"""Builds the extension of the gateway's own HTTP/2 transport: `python hatch_build.py`, and with each wheel.

It needs a C compiler, Python's headers and nghttp2's (Debian: gcc, python3-dev, libnghttp2-dev). Where one is missing,
everything else is built without it, with one line that says so, and the gateway serves by grpcio.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FOLDER = Path("gateway") / "rpc" / "http2"
_SOURCE = "_nghttp2.pyx"
_PATTERNS = ("*.pyx", "*.pxi", "*.pxd")
_LINE = 200


class CannotBuild(Exception):
    """The extension cannot be built here; the text says why."""


class NativeTransport(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the extension into the wheel, which then is one for this platform only."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it. Called by hatchling before it collects files."""
        if self.target_name != "wheel":
            return
        try:
            build(Path(self.root))
        except CannotBuild as error:
            self.app.display_warning(_without(error))
        else:
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["artifacts"].append(f"{_FOLDER.as_posix()}/*{_suffix()}")


def build(root: Path) -> Path:
    """Build the extension in `root` unless it is newer than its sources, and return its path. Raises CannotBuild."""
    folder = root / _FOLDER
    target = folder / f"_nghttp2{_suffix()}"
    sources = [path for pattern in _PATTERNS for path in folder.glob(pattern)]
    newest = max(path.stat().st_mtime for path in [*sources, Path(__file__)])
    if target.exists() and target.stat().st_mtime > newest:
        return target
    # What was built of other sources may not fit these.
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        generated, built = Path(temporary, "_nghttp2.c"), Path(temporary, target.name)
        _run([sys.executable, "-m", "cython", "-3", str(folder / _SOURCE), "-o", str(generated)], root)
        _run([*_compiler(), str(generated), "-o", str(built), *_library()], root)
        # Beside the target first: a gateway that runs keeps the file that it has loaded.
        fresh = target.with_suffix(".new")
        shutil.copyfile(built, fresh)
        fresh.replace(target)
    return target


def _suffix() -> str:
    return str(sysconfig.get_config_var("EXT_SUFFIX"))


def _compiler() -> list[str]:
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    mac = ["-bundle", "-undefined", "dynamic_lookup"]
    kind = mac if sys.platform == "darwin" else ["-shared"]
    flags = ["-O2", "-fPIC", *kind, "-fno-strict-aliasing", "-fwrapv", f"-I{sysconfig.get_path('include')}"]
    return [*shlex.split(command), *flags, *shlex.split(os.environ.get("CFLAGS", ""))]


def _library() -> list[str]:
    try:
        found = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libnghttp2"], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ["-lnghttp2"]
    return shlex.split(found.stdout)


def _run(command: list[str], root: Path) -> None:
    try:
        subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    except OSError as error:
        raise CannotBuild(f"{command[0]}: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if "error" in line.lower()] or error.stderr.splitlines()
        raise CannotBuild((lines or ["it failed without a word"])[0][:_LINE]) from None


def _without(error: CannotBuild) -> str:
    return f"the nghttp2 transport is not built, grpcio will serve ({error})"


if __name__ == "__main__":
    try:
        build(Path(__file__).parent)
    except CannotBuild as error:
        print(_without(error))
