"""The files of this tree, for tests that read them as text."""

import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools.paths import ROOT

# Not ours, or not kept: environments, caches, what builds write.
_PRUNED = {"build", "dist", "node_modules", "target", "__pycache__"}
_HIDDEN_BUT_OURS = {".ci", ".github"}


def files(*suffixes: str) -> Iterator[Path]:
    """Yield every file of the tree, or those with one of the suffixes, in order of path."""
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = sorted(name for name in subfolders if _is_ours(name))
        for name in sorted(names):
            # Cargo writes its lock with the registry in it; git ignores it, as a library has none.
            if name != "Cargo.lock" and (not suffixes or name.endswith(suffixes)):
                yield Path(folder, name)


def handwritten(*suffixes: str) -> Iterator[Path]:
    """Yield as `files` does, without generated code: what .gitattributes says is generated."""
    return (path for path in files(*suffixes) if path not in _generated())


@cache
def _generated() -> frozenset[Path]:
    command = ["git", "check-attr", "-z", "--stdin", "linguist-generated"]
    paths = "\0".join(name_of(path) for path in files())
    answer = subprocess.run(command, cwd=ROOT, input=paths, check=True, capture_output=True, text=True).stdout
    # Path, attribute and state of each, one after another.
    words = answer.split("\0")
    return frozenset(
        ROOT / name for name, state in zip(words[::3], words[2::3], strict=False) if state in ("set", "true")
    )


def name_of(path: Path) -> str:
    """Return the path from the top of the tree, with slashes."""
    return path.relative_to(ROOT).as_posix()


def _is_ours(folder: str) -> bool:
    if folder.startswith("."):
        return folder in _HIDDEN_BUT_OURS
    return folder not in _PRUNED and not folder.endswith(".egg-info")
