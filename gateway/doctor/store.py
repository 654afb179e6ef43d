"""The store, read without a trace."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from gateway.doctor.finding import Finding, failed, ok, skipped, warning
from gateway.stores.sqlite import SCHEMA_VERSION
from gateway.stores.sqlite_rows import COLUMNS
from gateway.timing import DOCTOR_STORE

_STEPS = 100_000
"""Of SQLite's machine between two looks at the time."""

_SQLITE_HEADER = b"SQLite format 3\0"
_RESTORED = "A gateway sets it aside at its start and saves what can be read; or put a copy in its place."


def store(path: Path, patience: float = DOCTOR_STORE) -> Finding:
    """Whether the file can be read, has the schema of this release, and shows no damage."""
    check = "store"
    if not path.exists():
        return skipped(check, f"there is no {path.name} yet")
    try:
        with path.open("rb") as file:
            header = file.read(len(_SQLITE_HEADER))
        if header and header != _SQLITE_HEADER:
            return failed(check, f"{path} is no SQLite database", _RESTORED)
        # Reading a database with a log needs the index of the log, which SQLite would make, and leave behind.
        alone = not Path(f"{path}-wal").exists()
        mode = "immutable=1" if alone else "mode=ro"
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=patience)) as db:
            return _looked_through(check, path, db, time.monotonic() + patience)
    except (OSError, sqlite3.OperationalError) as error:
        return failed(check, f"{path} cannot be read: {error}", "Run this as the gateway's user.")
    except sqlite3.DatabaseError as error:
        return failed(check, f"{path} is damaged: {error}", _RESTORED)


def _looked_through(check: str, path: Path, db: sqlite3.Connection, until: float) -> Finding:
    (schema,) = db.execute("PRAGMA user_version").fetchone()
    if schema > SCHEMA_VERSION:
        do = "Run the release that wrote it, or give this one another --data-dir."
        return failed(check, f"{path} was written by a newer release (schema {schema}, not {SCHEMA_VERSION})", do)
    columns = {name for _, name, *_ in db.execute("PRAGMA table_info(sessions)")}
    missing = {name.strip() for name in COLUMNS.split(",")} - columns
    if missing:
        return failed(check, f"{path} has no {', '.join(sorted(missing))} of sessions", _RESTORED)
    (active,) = db.execute("SELECT count(*) FROM sessions WHERE status = 'active'").fetchone()
    db.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        (damage,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        do = "Look through a copy of it with `PRAGMA quick_check`, if you have a reason to."
        return warning(check, f"{path} is too large to be looked through in {DOCTOR_STORE:g} s", do)
    if damage != "ok":
        return failed(check, f"{path} is damaged: {str(damage).splitlines()[0]}", _RESTORED)
    return ok(check, f"schema {schema}, {active} active sessions, no damage")


def holder(data_dir: Path, locks: str | None = None) -> int | None:
    """Return the process that holds the data directory, None if no gateway runs on it. `locks` as in /proc/locks.

    Taking the lock to see whether it is free would keep a gateway from starting at that moment.
    """
    try:
        found = (data_dir / "gateway.lock").stat()
        text = Path("/proc/locks").read_text(encoding="ascii") if locks is None else locks
    except OSError:
        return None
    file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in text.splitlines():
        fields = line.split()
        if "FLOCK" in fields and file in fields:
            return int(fields[fields.index(file) - 1])
    return None
