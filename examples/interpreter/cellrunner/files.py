"""The files of the session's working directory."""

import base64
import codecs
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# A directory with more is looked at in part: a call must not wait for a walk over a million files.
MAX_FILES = 10_000


@dataclass(frozen=True)
class FileState:
    """What tells whether a file has changed. `modified` is in nanoseconds."""

    size: int
    modified: int
    inode: int


@dataclass(frozen=True)
class Part:
    """A part of a file: text if it is UTF-8, else base64. `next_offset` is None at the end of the file."""

    text: str | None
    base64: str | None
    size: int
    next_offset: int | None


class WorkingDirectory:
    """Paths are relative to the root; hidden files, `__pycache__` and temporary files are not listed."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._temporary = Path(tempfile.gettempdir()).resolve()

    def snapshot(self) -> dict[str, FileState]:
        """All files, at most MAX_FILES, by path."""
        files: dict[str, FileState] = {}
        for path in self._walk():
            try:
                found = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                relative = path.relative_to(self.root).as_posix()
                files[_printable(relative)] = FileState(found.st_size, found.st_mtime_ns, found.st_ino)
            if len(files) == MAX_FILES:
                break
        return dict(sorted(files.items()))

    def changed_since(self, before: Mapping[str, FileState]) -> dict[str, FileState]:
        """The files that are new, or were written since the snapshot."""
        return {path: state for path, state in self.snapshot().items() if before.get(path) != state}

    def read(self, path: str, offset: int, max_bytes: int) -> Part:
        """Read a part of a file. Raises FileNotFoundError, and ValueError for a path that leads out."""
        file = self._inside(path)
        if not file.is_file():
            raise FileNotFoundError(f"no such file in the working directory: {path}")
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            opened.seek(offset)
            data = opened.read(max_bytes)
        ends = offset + len(data) >= size
        text = _decoded(data, ends)
        if text is not None:
            data = text.encode()
        end = offset + len(data)
        encoded = base64.b64encode(data).decode() if text is None else None
        return Part(text, encoded, size, None if end >= size else end)

    def write(self, path: str, data: bytes) -> None:
        """Write a file, and make the directories that it needs. Raises ValueError for a path that leads out."""
        file = self._inside(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def _inside(self, path: str) -> Path:
        if "\0" in path or not (file := (self.root / path).resolve()).is_relative_to(self.root):
            raise ValueError(f"not a path inside of the working directory: {path!r}")
        return file

    def _walk(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self.root):
            here = Path(folder)
            folders[:] = sorted(name for name in folders if self._listed(here / name))
            yield from (here / name for name in sorted(names) if not name.startswith("."))

    def _listed(self, folder: Path) -> bool:
        return not folder.name.startswith(".") and folder.name != "__pycache__" and folder != self._temporary


def _decoded(data: bytes, ends: bool) -> str | None:
    """Decode text; a character that is split at the end is left for the next part. None for what is not text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(data, final=ends)
    except UnicodeDecodeError:
        return None
    # A part shorter than one character would otherwise be empty, and the reader would never get past it.
    return text if text or not data else None


def _printable(path: str) -> str:
    return path.encode(errors="backslashreplace").decode()
