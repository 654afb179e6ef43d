"""What errors of SQLite mean for a store: told apart by their codes (sqlite.org/rescode.html), never by their text."""

import errno
import sqlite3

from gateway.stores.base import StoreFailure, StoreProblem

_PRIMARY = 0xFF
"""The low byte of an extended code is the primary one."""

_PROBLEMS = {
    sqlite3.SQLITE_BUSY: StoreProblem.BUSY,
    sqlite3.SQLITE_LOCKED: StoreProblem.BUSY,
    sqlite3.SQLITE_PROTOCOL: StoreProblem.BUSY,
    sqlite3.SQLITE_INTERRUPT: StoreProblem.BUSY,
    sqlite3.SQLITE_FULL: StoreProblem.FULL,
    sqlite3.SQLITE_READONLY: StoreProblem.READ_ONLY,
    sqlite3.SQLITE_PERM: StoreProblem.READ_ONLY,
    sqlite3.SQLITE_AUTH: StoreProblem.READ_ONLY,
    sqlite3.SQLITE_IOERR: StoreProblem.IO,
    sqlite3.SQLITE_CANTOPEN: StoreProblem.IO,
    sqlite3.SQLITE_NOMEM: StoreProblem.IO,
    sqlite3.SQLITE_CORRUPT: StoreProblem.DAMAGED,
    sqlite3.SQLITE_NOTADB: StoreProblem.DAMAGED,
}

_CUT_SHORT = frozenset({sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})
"""Errors of reading that no waiting mends: the file is shorter than its own account of itself."""

_DB_MOVED = frozenset({sqlite3.SQLITE_READONLY_DBMOVED})


_SYSTEM = {
    errno.ENOSPC: StoreProblem.FULL,
    errno.EDQUOT: StoreProblem.FULL,
    errno.EROFS: StoreProblem.READ_ONLY,
    errno.EACCES: StoreProblem.READ_ONLY,
    errno.EPERM: StoreProblem.READ_ONLY,
}


def problem_of(error: Exception) -> StoreProblem | None:
    """Return what is wrong with the store, or None when the error is not about its state."""
    if isinstance(error, OSError):
        return _SYSTEM.get(error.errno or 0, StoreProblem.IO)
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(error, sqlite3.Error) or code is None:
        return None
    if code in _CUT_SHORT:
        return StoreProblem.DAMAGED
    if code in _DB_MOVED:
        return StoreProblem.GONE
    return _PROBLEMS.get(code & _PRIMARY)


def is_busy(error: Exception) -> bool:
    """Whether somebody else was using the store just then."""
    return problem_of(error) is StoreProblem.BUSY


def failure_of(error: Exception) -> StoreFailure | None:
    """Return the failure that an error of SQLite, or of a file, stands for; None when it is about something else."""
    problem = problem_of(error)
    return None if problem is None else StoreFailure(problem, f"{getattr(error, 'sqlite_errorname', 'file')}: {error}")
