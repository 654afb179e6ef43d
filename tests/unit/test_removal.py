"""What an app leaves is deleted, whatever it is."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.workers.removal import remove_tree
from tools.paths import ROOT

DEEP = 3000
"""Levels: beyond the stack of Python, the longest path and the number of open files."""

ORDINARY = 65534
"""A user who is not root, for whom permissions count."""


def nest(top: Path, levels: int) -> None:
    """Make directories in directories, each with a file."""
    top.mkdir()
    directory = os.open(top, os.O_DIRECTORY)
    for _ in range(levels):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
        os.mkdir("d", dir_fd=directory)
        inner = os.open("d", os.O_DIRECTORY, dir_fd=directory)
        os.close(directory)
        directory = inner
    os.close(directory)


def test_directories_may_be_nested_deeper_than_any_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nest(tmp_path / "left", DEEP)
    with caplog.at_level(logging.WARNING, logger="gateway"):
        remove_tree(tmp_path / "left")
    assert not (tmp_path / "left").exists()
    assert caplog.records == []


def test_what_links_lead_to_stays(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    left = tmp_path / "left"
    (left / "inner").mkdir(parents=True)
    for place in (left, left / "inner"):
        (place / "directory").symlink_to(tmp_path / "other")
        (place / "file").symlink_to(tmp_path / "other" / "file")
    remove_tree(left)
    assert not left.exists()
    assert (tmp_path / "other" / "file").exists()


def test_what_is_not_there_is_no_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    remove_tree(tmp_path / "nothing")
    remove_tree(tmp_path / "nothing" / "in" / "nothing")
    assert caplog.records == []


def test_permissions_that_were_taken_away_are_given_back(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    program = f"""
import os, pathlib, sys
from gateway.workers.removal import remove_tree
if os.getuid() == 0:
    os.setgroups([]); os.setgid({ORDINARY}); os.setuid({ORDINARY})
left = pathlib.Path(sys.argv[1])
for name in ("a/b/c", "d/e", "f"):
    (left / name).mkdir(parents=True)
    (left / name / "file").touch()
for name in ("a/b/c", "a/b", "a", "d/e", "d", "f", ""):
    (left / name).chmod(0)
remove_tree(left)
sys.exit(left.exists())
"""
    base = Path("/tmp") if os.getuid() == 0 else tmp_path  # the way to tmp_path is closed to others
    left = base / f"sgw-removal-{os.getpid()}"
    completed = subprocess.run([sys.executable, "-c", program, str(left)], cwd=ROOT, timeout=30, check=False)
    assert completed.returncode == 0


def test_what_cannot_be_deleted_is_told_and_the_rest_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = tmp_path / "left"
    for name in ("one", "two"):
        (left / name).mkdir(parents=True)
        (left / name / "file").touch()
    really = os.unlink

    def unlink(name: str, *, dir_fd: int | None = None) -> None:
        if name == "file" and Path(f"/proc/self/fd/{dir_fd}").resolve().name == "one":
            raise OSError(16, "Device or resource busy")
        really(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)
    with caplog.at_level(logging.WARNING, logger="gateway"):
        remove_tree(left)
    assert [entry.name for entry in left.iterdir()] == ["one"]
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot delete {left}: [Errno 16] Device or resource busy"
    ]
