"""The file of API keys in the data directory: written by `sgw key`, read by every gateway process.

It is replaced as a whole, so a reader finds what was there before or what is there now. There are no secrets in it.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.auth.keys import Key
from gateway.auth.trusted import NotTrusted, Stamp, content_of, stamp_of

NAME = "keys.json"
FORMAT: Literal[1] = 1

REMEMBERED = timedelta(days=30)
"""For how long `sgw key list` shows keys that are good no more. After that a change of the file drops them."""

_LOCK = "keys.lock"


class KeysUnusable(Exception):
    """The file of keys cannot be read, or is damaged. The text names it, says why, and what to do."""


class _Header(BaseModel):
    model_config = ConfigDict(strict=True)

    format: int


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    keys: tuple[Key, ...]


class KeyFile:
    """The keys of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Nothing is read yet, nor made."""
        self.path = data_dir / NAME

    def exists(self) -> bool:
        """Whether a key was ever made here: the file stays when the last one is revoked."""
        return self.path.exists()

    def stamp(self) -> Stamp | None:
        """Return what tells whether the file is still the one that was read. None when there is none."""
        try:
            return stamp_of(self.path)
        except NotTrusted as error:
            raise self._unusable(str(error)) from None

    def read(self) -> Mapping[str, Key]:
        """Return all keys by their ids, also those that are good no more. Raises KeysUnusable, also for no file."""
        try:
            return self._parsed(content_of(self.path))
        except NotTrusted as error:
            raise self._unusable(str(error)) from None

    @contextmanager
    def changing(self) -> Iterator[dict[str, Key]]:
        """Yield the keys to be changed, and write them at the end of the block, unless it raises.

        Nobody else changes them meanwhile. Raises KeysUnusable and OSError; then all is as it was.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path.parent / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._give(lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = dict(self.read()) if self.exists() else {}
            yield keys
            self._write(keys)
        finally:
            os.close(lock)

    def _parsed(self, content: bytes) -> Mapping[str, Key]:
        try:
            format_ = _Header.model_validate_json(content).format
            if format_ > FORMAT:
                raise self._unusable(f"of format {format_}, which a newer sgw has written")
            listed = _Content.model_validate_json(content).keys
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise self._unusable(f"damaged ({where or 'the whole'}: {first['msg']})") from None
        keys = {key.id: key for key in listed}
        if len(keys) < len(listed):
            raise self._unusable("damaged (a key is in it twice)")
        return keys

    def _write(self, keys: Mapping[str, Key]) -> None:
        document = _Content(format=FORMAT, keys=tuple(keys.values())).model_dump_json(indent=1).encode() + b"\n"
        descriptor, name = tempfile.mkstemp(prefix=f".{NAME}.", dir=self.path.parent)  # of mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(document)
                self._give(file.fileno())
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)  # noqa: PTH105  # of a name, which mkstemp gives
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108
            raise
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _give(self, descriptor: int) -> None:
        """Give a file to the directory's owner: root makes keys for a gateway that runs as somebody else."""
        if os.geteuid() == 0:
            owner = self.path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

    def _unusable(self, why: str) -> KeysUnusable:
        return KeysUnusable(
            f"the file of API keys, {self.path}: {why}; mend it or put a backup back. Without the file no key is known"
        )


def without_old(keys: Mapping[str, Key], now: datetime) -> dict[str, Key]:
    """Return the keys without those that have long been good no more."""
    return {id_: key for id_, key in keys.items() if (over := key.over_since(now)) is None or now - over < REMEMBERED}
