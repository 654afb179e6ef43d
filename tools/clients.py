"""The clients of other languages than Python: built, checked and tested by the scripts of their own folders.

`python -m tools.clients build check test` runs these for each language whose toolchain is here; with CLIENTS_ALL set a
missing one is a failure. `--client go` takes one language. `missing` only tells what is left out and how to get it.
`compare` writes the stubs anew and fails when they differ from what is committed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.paths import ROOT

CLIENTS = ROOT / "clients"
STEPS = ("build", "check", "test", "generate")


@dataclass(frozen=True)
class Language:
    """One client beside Python's."""

    name: str
    title: str
    commands: tuple[str, ...]
    """What must be on PATH."""
    source: str
    """Where it comes from."""

    @property
    def folder(self) -> Path:
        """Where the client is."""
        return CLIENTS / self.name

    @property
    def missing(self) -> list[str]:
        """What of `commands` is not there."""
        return [command for command in self.commands if shutil.which(command) is None]


LANGUAGES = (
    Language("typescript", "TypeScript", ("node", "npm"), "Node.js 20.9 or newer, with npm"),
    Language("go", "Go", ("go",), "Go 1.25 or newer"),
    Language("java", "Java", ("javac", "mvn"), "a JDK 17 or newer, and Maven"),
    Language("rust", "Rust", ("cargo",), "Rust 1.88 or newer, by rustup"),
    Language("cpp", "C++", ("g++", "cmake"), "Debian's g++ and cmake; its `build` says what else"),
    Language("ruby", "Ruby", ("ruby",), "Debian's ruby; its `build` says what else"),
)


def run_step(language: Language, step: str) -> bool:
    """Run one script of a client. Returns whether it succeeded."""
    print(f"\n-- {language.title}: {step}", flush=True)
    began = time.monotonic()
    environment = {"SGW_COMMAND": str(ROOT / "tools" / "gateway_for_clients"), **os.environ}
    done = subprocess.run([str(language.folder / step)], cwd=language.folder, env=environment, check=False)
    ok = done.returncode == 0
    print(f"-- {language.title}: {step} {'done' if ok else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
    return ok


def compare(language: Language) -> bool:
    """Write the stubs anew. Returns whether they are those that are committed."""
    if not run_step(language, "generate"):
        return False
    folder = str(language.folder)
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", folder], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    if changed:
        print(f"the stubs of {language.title} are not what the protos give:\n{changed}", flush=True)
    return not changed


def told_missing(languages: Sequence[Language]) -> None:
    """Tell what is not tested here."""
    print("Tested here: Python. `make clients` builds and tests the clients of other languages:")
    for language in languages:
        state = f"needs {language.source}" if language.missing else "its toolchain is here"
        print(f"  {language.title:<11} {state}")


def main() -> int:
    """Run what the command line asks for, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", action="append", choices=[language.name for language in LANGUAGES])
    parser.add_argument("steps", nargs="+", choices=[*STEPS, "compare", "missing"])
    arguments = parser.parse_args()
    languages = [one for one in LANGUAGES if one.folder.is_dir() and one.name in (arguments.client or [one.name])]
    if arguments.steps == ["missing"]:
        told_missing(languages)
        return 0
    failed = []
    for language in languages:
        # C++ and Ruby install their own toolchains where they may.
        if language.missing and not os.environ.get("CLIENTS_ALL"):
            print(f"\n-- {language.title}: left out, there is no {', '.join(language.missing)}: {language.source}")
            continue
        for step in arguments.steps:
            if not (compare(language) if step == "compare" else run_step(language, step)):
                failed.append(f"{language.title}: {step}")
                break
    if failed:
        print(f"\nFAILED: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
