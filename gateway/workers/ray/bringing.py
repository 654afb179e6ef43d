"""An app's directory as it is brought to a machine that does not have it."""

import io
import tarfile
from pathlib import Path


def packed(directory: Path) -> bytes:
    """Return the files of a directory, links followed, without what Python has compiled. Raises OSError."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        tar.add(directory, arcname=".", filter=_wanted)
    return archive.getvalue()


def unpack(archive: bytes, directory: Path) -> None:
    """Write them into a directory that is yet to be made. Raises OSError."""
    directory.mkdir()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if not (entry.isfile() or entry.isdir() or entry.islnk()) or entry.name.endswith(("/__pycache__", ".pyc")):
        return None
    return entry
