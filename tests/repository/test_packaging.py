"""The files with which the gateway is deployed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.config import environment_name, setting_paths
from tools.paths import ROOT

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
UNIT = ROOT / "deploy" / "systemd" / "session-gateway.service"
CLIENT_VARIABLES = {"SGW_ADDRESS", "SGW_TLS_CA"}
PROGRAM = "/opt/session-gateway/bin/sgw"
EXPOSURE = 40
"""Tenths of what `systemd-analyze security` calls the exposure of a service; below 50 is its OK."""


def program(name: str) -> str:
    """Return the path of a linter, without which a test is skipped; CI has all of them."""
    found = shutil.which(name)
    if found is None:
        assert "CI" not in os.environ, f"{name} is missing, which .ci/toolchains installs"
        pytest.skip(f"{name} is not installed")
    return found


def test_the_image_is_built_as_hadolint_likes_it() -> None:
    done = subprocess.run([program("hadolint"), DOCKERFILE], capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_copies_what_there_is_and_what_is_not_left_out() -> None:
    ignore = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    taken = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert all((ROOT / name).exists() for name in taken)
    copied = re.findall(r"requirements/[a-z]+\.lock", DOCKERFILE.read_text())
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    # What a wheel is made of, by pyproject.toml and the hook of the extension.
    assert {"gateway", "clients/python", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE"} <= taken


@pytest.mark.parametrize("path", [DOCKERFILE, UNIT])
def test_settings_are_named_as_they_are(path: Path) -> None:
    known = {environment_name(name) for name in setting_paths()} | CLIENT_VARIABLES
    assert set(re.findall(r"\bSGW_[A-Z_]+", path.read_text())) <= known


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that exists on this machine."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace(PROGRAM, "/bin/true"))
    return path


def test_the_unit_is_one_that_systemd_takes(unit: Path) -> None:
    command = [program("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_gives_apps_no_more_than_they_need(unit: Path) -> None:
    command = [
        program("systemd-analyze"),
        "security",
        "--no-pager",
        "--offline=yes",
        f"--threshold={EXPOSURE}",
        str(unit),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
