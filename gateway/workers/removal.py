"""Deleting what an app has left, whatever it is."""

import contextlib
import itertools
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger("gateway.workers")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(root: Path) -> None:
    """Delete a directory with all that is in it. What cannot be deleted is told in the log. Blocks: may be many files.

    An app may nest directories deeper than any stack, path or number of open files allows, and take the permissions
    away from itself: each directory is moved up to the first level, and emptied there.
    """
    try:
        top = _opened(root.name, os.open(root.parent, _DIRECTORY))
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("cannot delete %s: %s", root, error)
        return
    try:
        problem = _emptied(top)
    finally:
        os.close(top)
    try:
        root.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("cannot delete %s: %s", root, problem or error)


def _opened(name: str, parent: int) -> int:
    """Return a directory, open, with all permissions. `parent` is closed. Raises OSError."""
    try:
        return _inside(name, parent)
    finally:
        os.close(parent)


def _inside(name: str, parent: int) -> int:
    try:
        opened = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)  # in an open directory, which a Path cannot do
        opened = os.open(name, _DIRECTORY, dir_fd=parent)
    with contextlib.suppress(OSError):  # somebody else's: what is in it may be deleted all the same, or is told of
        os.fchmod(opened, 0o700)
    return opened


def _emptied(top: int) -> OSError | None:
    """Delete what is in a directory. Returns the first reason for which something could not be."""
    problem: OSError | None = None
    stuck: set[str] = set()
    moved = (f".{secrets.token_hex(8)}.{number}" for number in itertools.count())
    while names := [name for name in os.listdir(top) if name not in stuck]:  # of an open directory
        for name in names:
            try:
                _remove(top, name, moved)
            except OSError as error:
                stuck.add(name)
                problem = problem or error
    return problem


def _remove(top: int, name: str, moved: Iterator[str]) -> None:
    """Delete a file, or a directory whose own directories are moved up for it. Raises OSError."""
    try:
        os.unlink(name, dir_fd=top)  # in an open directory, which a Path cannot do
    except IsADirectoryError:
        _take_apart(top, name, moved)


def _take_apart(top: int, name: str, moved: Iterator[str]) -> None:
    inner = _inside(name, top)
    problem: OSError | None = None
    try:
        with os.scandir(inner) as entries:
            for entry in list(entries):
                try:
                    if entry.is_dir(follow_symlinks=False):
                        _move_up(entry.name, inner, next(moved), top)
                    else:
                        os.unlink(entry.name, dir_fd=inner)
                except OSError as error:
                    problem = problem or error
    finally:
        os.close(inner)
    if problem is not None:
        raise problem
    os.rmdir(name, dir_fd=top)


def _move_up(name: str, parent: int, new: str, top: int) -> None:
    try:
        os.rename(name, new, src_dir_fd=parent, dst_dir_fd=top)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)  # to move it, its owner must be allowed to write to it
        os.rename(name, new, src_dir_fd=parent, dst_dir_fd=top)
