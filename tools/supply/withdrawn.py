"""Whether what is locked has been taken back by those who published it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tools.paths import ROOT
from tools.supply.advisories import NotAsked
from tools.supply.component import Component

_PATIENCE = 300


def python(uv: Path, lock: str, interpreter: str) -> list[str]:
    """Return the pins of a lock that the package index calls yanked. Raises NotAsked."""
    words = [str(uv), "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--target", "build/nowhere"]
    text = _told([*words, "--python", interpreter, "-r", lock], ROOT)
    return re.findall(r"^warning: `?([^`\n]+?)`? is yanked.*$", text, re.MULTILINE)


def go(modules: Iterable[Component]) -> list[str]:
    """Return the modules that their authors have retracted. Raises NotAsked."""
    if shutil.which("go") is None:
        raise NotAsked("go is not installed")
    words = ["go", "list", "-m", "-u", "-retracted", "-json=Path,Version,Retracted"]
    words += (f"{module.name}@{module.version}" for module in modules)
    decoder, text, found, at = json.JSONDecoder(), _told(words, ROOT / "clients" / "go", both=False), [], 0
    while at < len(text.rstrip()):
        entry, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        if entry.get("Retracted"):
            found.append(f"{entry['Path']} {entry['Version']}: {'; '.join(entry['Retracted'])}")
    return found


def _told(words: Sequence[str], folder: Path, *, both: bool = True) -> str:
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAsked(f"{Path(words[0]).name}: {error}") from error
    if done.returncode != 0:
        raise NotAsked(f"{Path(words[0]).name}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return done.stderr + done.stdout if both else done.stdout
