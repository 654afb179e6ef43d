"""The lock file of the client for Java, which Maven itself does not have: what it resolves, with hashes."""

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

from tools.paths import ROOT
from tools.supply.advisories import NotAsked

JAVA = ROOT / "clients" / "java"
LOCK = JAVA / "dependencies.lock"

_HEAD = "# What Maven resolves, with the scope that delivers most: `make lock-java` writes it, `make audit` compares.\n"
_SCOPES = ("compile", "runtime", "provided", "system", "test")
_LINE = re.compile(r"^   ([^:\s]+:[^:\s]+):jar:(?:([^:\s]+):)?([^:\s]+):(\w+)(?: \([^)]*\))?:(\S+\.jar)", re.MULTILINE)
_PATIENCE = 900


def resolved() -> str:
    """Return the lock file as it would be written now. Raises NotAsked when Maven cannot be used."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "dependencies.txt"
        words = ["mvn", "--batch-mode", "--quiet", "compile", "dependency:list", f"-DoutputFile={told}"]
        words += ["-DappendOutput=true", "-DoutputAbsoluteArtifactFilename=true"]
        try:
            done = subprocess.run(
                words,
                cwd=JAVA,
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotAsked(f"mvn: {error}") from error
        if done.returncode != 0:
            raise NotAsked(f"mvn: {(done.stdout.strip() or 'failed').splitlines()[-1]}")
        return lock_of(told.read_text(encoding="utf-8"))


def lock_of(told: str) -> str:
    """Return the lock file for what `dependency:list` has written, with the paths of the files that it names."""
    scopes: dict[str, str] = {}
    digests: dict[str, str] = {}
    for name, classifier, version, scope, path in _LINE.findall(told):
        coordinates = f"{name}:{version}"
        if classifier:
            raise ValueError(f"{coordinates} has the classifier {classifier}, for which the lock has no place")
        scopes[coordinates] = min(scope, scopes.get(coordinates, scope), key=_SCOPES.index)
        digests[coordinates] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    lines = [f"{each} {scopes[each]} sha256:{digests[each]}\n" for each in sorted(scopes) if not _is_own(each)]
    return _HEAD + "".join(lines)


def _is_own(coordinates: str) -> bool:
    return coordinates.startswith("com.sessiongateway:")
