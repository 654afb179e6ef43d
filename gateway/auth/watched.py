"""A file that says who may call, looked at again and again while a gateway runs."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from gateway.auth.trusted import NotTrusted, Stamp, content_of, stamp_of

T = TypeVar("T")

logger = logging.getLogger("gateway.auth")


class Unusable(Exception):
    """What is in a file cannot be used. The text names the file and says why."""


class Watched(Generic[T]):
    """What one file says, as it was last found right."""

    def __init__(self, path: Path, what: str, parse: Callable[[bytes], T], *, meanwhile: T | None = None) -> None:
        """Read the file, which is `what`. `parse` raises ValueError, whose text says what is wrong.

        `meanwhile` holds while the file cannot be used; without it what it said before. Raises Unusable.
        """
        self._path = path
        self._what = what
        self._parse = parse
        self._meanwhile = meanwhile
        self._failures = 0
        self._stamp, found = self._look(None)
        assert found is not None
        self.value: T = found

    async def refresh(self) -> bool:
        """Look at the file. Returns whether it says something else now."""
        try:
            stamp, found = await asyncio.to_thread(self._look, self._stamp)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not keep others from being looked at
            return self._failed(str(error))
        self._failures = 0
        if found is None:
            return False
        self._stamp, self.value = stamp, found
        logger.info("%s has changed", self._what)
        return True

    def _look(self, before: Stamp | None) -> tuple[Stamp | None, T | None]:
        """Return the file's stamp, and what it says if that is another one than before. Raises Unusable."""
        try:
            stamp = stamp_of(self._path)
            if stamp is not None and stamp == before:
                return stamp, None
            return stamp, self._parse(content_of(self._path))
        except (NotTrusted, ValueError) as error:
            raise Unusable(f"{self._what}, {self._path}: {error}") from None

    def _failed(self, why: str) -> bool:
        self._failures += 1
        # Once may be a moment without free descriptors, or a file that is half written.
        if self._failures != 2:  # noqa: PLR2004
            return False
        self._stamp = None
        if self._meanwhile is None:
            logger.error("%s; what it said before holds until it is mended", why)
            return False
        logger.error("%s; nobody is known by it until it is mended", why)
        self.value = self._meanwhile
        return True
