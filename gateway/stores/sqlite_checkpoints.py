"""Checkpoints of the write-ahead log: what has been written there is put into the database, and the log begins anew.

A checkpoint waits for the disk, several times. Left to itself SQLite does that within whichever commit fills the log,
and all calls wait with it. Here a thread does it with a connection of its own, while calls go on. What they wrote in
the meantime is then little, and only that is waited for on the event loop: a log begins anew only when all of it has
been put into the database, which with calls at all times a thread alone would never see (sqlite.org/wal.html,
section 6, "checkpoint starvation").
"""

import asyncio
import logging
import sqlite3

logger = logging.getLogger("gateway.stores")

CHECKPOINT_CHANGES = 4000
"""Rows changed between two checkpoints. One call changes two, and the calls of one turn share pages of the log."""

CHECKPOINT_AT_ONCE = 10_000
"""Pages of the log (40 MB) from which SQLite itself makes a checkpoint within a commit, should ours have failed."""

LOG_KEPT = 16 * 1024 * 1024
"""Bytes that the log keeps on the disk when it begins anew: more than it has with us alone, and less than what it may
have grown to behind somebody who read it for long."""

_MOST_OF_IT = "PRAGMA wal_checkpoint(PASSIVE)"
"""Waits neither for readers nor for writers. One that another process is making at this moment has it do nothing."""

_THE_REST = "PRAGMA wal_checkpoint(RESTART)"
"""Keeps other processes from writing meanwhile, or there would always be something new in the log. Does what the other
one does when somebody reads what is old, or writes."""


class Checkpoints:
    """Makes the checkpoints of one database for as long as it is open."""

    def __init__(self, main: sqlite3.Connection, own: sqlite3.Connection) -> None:
        """`main` is the connection that the event loop uses, `own` another to the same file, which `close` closes."""
        main.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_AT_ONCE}")
        main.execute(f"PRAGMA journal_size_limit = {LOG_KEPT}")
        own.execute("PRAGMA user_version").fetchone()  # opens all its files now, while they are those of `main`
        own.execute("PRAGMA synchronous = NORMAL")
        own.execute("PRAGMA busy_timeout = 0")
        self._main = main
        self._own = own
        self._due = main.total_changes + CHECKPOINT_CHANGES
        self._running: asyncio.Task[None] | None = None

    def consider(self) -> None:
        """Begin a checkpoint if there has been enough to write since the last. Called after each transaction."""
        if self._main.total_changes >= self._due and self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._checkpoint())

    async def quiet(self) -> None:
        """Return when the checkpoint that is being made is done."""
        if self._running is not None:
            await asyncio.wait([self._running])

    def close(self) -> None:
        """Close the connection, while no checkpoint is being made."""
        self._own.close()

    async def _checkpoint(self) -> None:
        try:
            await asyncio.to_thread(self._own.execute, _MOST_OF_IT)
            self._main.execute(_THE_REST)
        except sqlite3.Error as error:
            # Whatever it is, the next transaction meets it too, and its caller is told.
            logger.debug("a checkpoint of the store failed: %s", error)
        finally:
            self._due = self._main.total_changes + CHECKPOINT_CHANGES
            self._running = None
