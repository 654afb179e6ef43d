"""Compares the committed stubs with those that the protos give now, byte for byte: `make check-generate`."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.paths import BUF, ROOT

# What the plugins of buf.gen.yaml write, and where; anything else there is written by hand.
OUTPUTS = {"clients/python": ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")}


def generated_files(top: Path) -> dict[str, bytes]:
    """Return the content of each generated file below `top`, by its path from there."""
    return {
        path.relative_to(top).as_posix(): path.read_bytes()
        for folder, patterns in OUTPUTS.items()
        for pattern in patterns
        for path in sorted((top / folder).rglob(pattern))
    }


def differences(committed: dict[str, bytes], fresh: dict[str, bytes]) -> list[str]:
    """Return a line for each file that is missing, left over or changed, in order of path."""
    lines = []
    for path in sorted(committed.keys() | fresh.keys()):
        if path not in committed:
            lines.append(f"{path}: missing")
        elif path not in fresh:
            lines.append(f"{path}: left over from a proto that is gone, remove it")
        elif committed[path] != fresh[path]:
            lines.append(f"{path}: not what its proto gives")
    return lines


def main() -> int:
    """Generate into a scratch folder, print what differs, and return the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([BUF, "generate", "-o", scratch], cwd=ROOT, check=True)
        found = differences(generated_files(ROOT), generated_files(Path(scratch)))
    if found:
        print(*found, "run: make generate", sep="\n", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
