"""The keys that a running gateway knows: those of the file, looked at several times a second and never by a call."""

import asyncio
import enum
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.auth import keys
from gateway.auth.keyfile import KeyFile
from gateway.auth.keys import Key
from gateway.auth.trusted import Stamp

logger = logging.getLogger("gateway.auth")


class Demand(enum.Enum):
    """When callers need a key."""

    ALWAYS = enum.auto()
    ONCE_THERE_ARE_KEYS = enum.auto()
    """From the first key on, and from then on always: revoking the last one must not let everybody in."""


_FAILURES = 2
"""In a row, until what the file said no longer counts."""


class Keyring:
    """The keys of one data directory.

    A file that is missing after it was there, damaged or unreadable is an empty one: nobody gets in by way of it.
    """

    def __init__(self, file: KeyFile, demand: Demand) -> None:
        """Read the file. Raises KeysUnusable when it is there and cannot be read."""
        self._file = file
        self._failures = 0
        self._keys: Mapping[str, Key] = {}
        self._stamp = file.stamp()
        self.required = demand is Demand.ALWAYS or self._stamp is not None
        """Whether a caller needs a key. Once it is true it stays so."""
        if self._stamp is not None:
            self._keys = file.read()

    @property
    def usable(self) -> bool:
        """Whether the file could be read, or is not there and need not be."""
        return self._failures < _FAILURES

    def count(self, now: float) -> int:
        """Return how many keys are good at a wall-clock time, in seconds."""
        moment = datetime.fromtimestamp(now, UTC)
        return sum(key.state(moment) == "active" for key in self._keys.values())

    def find(self, shown: str, now: float) -> Key | None:
        """Return the key that somebody shows, None if it is none or not good at a wall-clock time, in seconds."""
        key = self._keys.get(keys.id_in(shown) or "")
        if key is None:
            keys.refuse(shown)
            return None
        return key if key.belongs_to(shown) and key.state(datetime.fromtimestamp(now, UTC)) == "active" else None

    async def refresh(self) -> bool:
        """Look at the file. Returns whether other keys are good now, or keys are needed now."""
        try:
            stamp, found = await asyncio.to_thread(self._look)
        except Exception as error:  # noqa: BLE001  # whatever it is, a key that was revoked must not stay good for it
            return self._failed(str(error))
        self._failures = 0
        if stamp == self._stamp:
            return False
        self._stamp, self._keys, self.required = stamp, found, True
        logger.info("the API keys have changed")
        return True

    def _look(self) -> tuple[Stamp | None, Mapping[str, Key]]:
        """Return the file's stamp, and what is in it if that has changed. Raises KeysUnusable."""
        stamp = self._file.stamp()
        return stamp, {} if stamp == self._stamp else self._file.read()

    def _failed(self, why: str) -> bool:
        self._failures += 1
        # Once may be a moment without free descriptors; a file that is damaged or gone stays so.
        if self._failures != _FAILURES:
            return False
        logger.error("%s; callers are refused until it is there again", why)
        self._stamp, self._keys = None, {}
        return True
