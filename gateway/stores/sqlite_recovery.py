"""Bringing a SQLite database back: looking for damage, building a sound file from a damaged one, writing back one that
is gone. All of it may take seconds; the statements of calls are in `gateway.stores.sqlite`.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gateway.model import SESSION_ID_PREFIX
from gateway.stores.sqlite_files import DatabaseFiles
from gateway.stores.sqlite_pages import Value, rows_in
from gateway.stores.sqlite_salvage import salvage

logger = logging.getLogger("gateway.stores")

Create = Callable[[Path], sqlite3.Connection]
"""Makes a database with the schema of this release, which is complete once it is closed."""

OnLoss = Callable[[sqlite3.Connection], object]
"""Gets a database that was made of a damaged one of which not all could be read."""

_PROBE_BYTES = 64 * 1024
"""What a probe writes: more than any operation needs, so that a store that comes back does not fail again at once."""


def damage_in(db: sqlite3.Connection, seconds: float) -> str | None:
    """Return the first damage that is found in so many seconds, None if there is none. May raise sqlite3.Error."""
    timer = threading.Timer(seconds, db.interrupt)
    timer.start()
    try:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            logger.info("the store is large: damage in what was not looked at shows when it is read")
            return None
        raise
    finally:
        timer.cancel()
        timer.join()  # an interrupt that comes late would hit another statement
    return None if found == "ok" else str(found)


def rebuild(
    files: DatabaseFiles,
    source: sqlite3.Connection,
    why: str,
    create: Create,
    on_loss: Callable[[sqlite3.Connection], object],
) -> None:
    """Set a damaged database aside and put what can be read of it in its place. Closes `source`.

    `source` is a connection to it, if possible one that was open when the damage came: it still has pages in memory.
    `on_loss` gets the new one when not all could be read.
    Raises sqlite3.Error and OSError when the new file cannot be written; the damaged one is then where it was, or
    under both names.
    """
    files.prepare()
    target = create(files.new)
    try:
        found = salvage(source, target)
        aside = files.set_aside("corrupt")
        source.close()
        if aside is not None and not found.complete:
            found.rows["sessions"] += _add_rows(target, rows_in(aside))
        if not found.complete:
            on_loss(target)
    finally:
        target.close()
    files.put_in_place()
    logger.error(
        "the store %s is damaged (%s). It was set aside as %s; %s came over to a new one%s",
        files.path,
        why,
        aside.name if aside else "nothing, as nothing was there",
        ", ".join(f"{count} {table}" for table, count in found.rows.items()),
        "" if found.complete else ", the rest could not be read",
    )


def write_back(files: DatabaseFiles, source: sqlite3.Connection, why: str) -> None:
    """Put the database of an open connection, all of which is still there, back in its place. Closes `source`.

    Raises sqlite3.Error and OSError; the connection is then still open, unless the last step failed.
    """
    files.prepare()
    source.execute("VACUUM INTO ?", (str(files.new),))
    aside = files.set_strangers_aside()
    source.close()
    files.put_in_place()
    logger.warning(
        "the store %s has been written back, and nothing is lost: %s%s",
        files.path,
        why,
        f". What was found there is now {aside.name}" if aside else "",
    )


def probe(db: sqlite3.Connection) -> None:
    """Write something and take it away again. Raises sqlite3.Error when that is not possible.

    Two transactions: what is rolled back, or freed before its commit, is never written.
    """
    for transaction in (
        ("CREATE TABLE IF NOT EXISTS probe (filler BLOB)", f"INSERT INTO probe VALUES (zeroblob({_PROBE_BYTES}))"),
        ("DROP TABLE probe",),
    ):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in transaction:
                db.execute(statement)
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _add_rows(target: sqlite3.Connection, rows: Iterable[tuple[int, list[Value]]]) -> int:
    """Add rows of sessions that no table led to, and return how many. Of copies of one the latest state is taken."""
    columns = [row[0] for row in target.execute("SELECT name FROM pragma_table_info('sessions')").fetchall()]
    place = {name: number for number, name in enumerate(columns)}
    latest: dict[str, tuple[int, list[Value]]] = {}
    for rowid, values in rows:
        if not _may_be_session(values, place):
            continue
        id = str(values[place["id"]])
        if id not in latest or _age(values, place) > _age(latest[id][1], place):
            latest[id] = rowid, values
    added = 0
    target.execute("BEGIN")
    for rowid, values in latest.values():
        names = ", ".join(columns[: len(values)])
        insert = f"INSERT OR IGNORE INTO sessions ({names}) VALUES (?{', ?' * (len(values) - 1)})"
        with contextlib.suppress(sqlite3.IntegrityError):
            added += max(target.execute(insert, [rowid, *values[1:]]).rowcount, 0)
    target.execute("COMMIT")
    return added


def _may_be_session(values: Sequence[Value], place: dict[str, int]) -> bool:
    # The key is in the rowid, and its column NULL (fileformat2.html, section 2.1).
    return (
        place["hold_until"] < len(values) <= len(place)
        and values[0] is None
        and str(values[1]).startswith(SESSION_ID_PREFIX)
    )


def _age(values: Sequence[Value], place: dict[str, int]) -> tuple[bool, float]:
    deadline = values[place["deadline"]]
    return values[place["status"]] != "active", deadline if isinstance(deadline, int | float) else 0.0
