"""What is copied out of a damaged database: every table, all rows that can be read, and nothing that triggers add."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.stores.sqlite_salvage import salvage

PAGE = 4096
LEAF = 13
ROWS = 400
SCHEMA = """
CREATE TABLE things (seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, weight REAL) STRICT;
CREATE TABLE notes (text TEXT);
CREATE TRIGGER noted AFTER INSERT ON things BEGIN INSERT INTO notes VALUES ('came ' || new.name); END;
"""


def database(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(SCHEMA)
    return db


@pytest.fixture
def source_path(tmp_path: Path) -> Path:
    """A database whose first table has rows on many pages, and its highest number is not there any more."""
    path = tmp_path / "source.db"
    with closing(database(path)) as db:
        db.execute("BEGIN")
        db.executemany("INSERT INTO things (name, weight) VALUES (?, ?)", [(name_of(n), n / 2) for n in range(1, ROWS)])
        db.execute("INSERT INTO things VALUES (9000, 'gone', 0)")
        db.execute("DELETE FROM things WHERE seq = 9000")
        db.execute("COMMIT")
    return path


@pytest.fixture
def target(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(database(tmp_path / "target.db")) as db:
        yield db


def name_of(number: int) -> str:
    return f"thing {number:04} " + "." * 300


def pages_of(path: Path) -> list[int]:
    """Return the offsets of the pages that have things, in the order of their rows."""
    content = path.read_bytes()
    pages = {at: content[at : at + PAGE] for at in range(0, len(content), PAGE)}
    first = {
        at: min(part[:4] for part in page.split(b"thing ")[1:])
        for at, page in pages.items()
        if page[0] == LEAF and b"thing 0" in page and b"came" not in page
    }
    return sorted(first, key=first.__getitem__)


def damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * PAGE)


def numbers(db: sqlite3.Connection) -> list[int]:
    return [row[0] for row in db.execute("SELECT seq FROM things ORDER BY seq")]


def test_of_a_sound_database_everything_is_copied_once_with_its_numbers(
    source_path: Path, target: sqlite3.Connection
) -> None:
    with closing(sqlite3.connect(source_path)) as source:
        result = salvage(source, target)
        assert (result.complete, result.rows) == (True, {"things": ROWS - 1, "notes": ROWS})
        for table in ("things", "notes"):
            query = f"SELECT rowid, * FROM {table} ORDER BY rowid"
            assert target.execute(query).fetchall() == source.execute(query).fetchall()
    target.execute("INSERT INTO things (name) VALUES ('next')")
    assert target.execute("SELECT max(seq) FROM things").fetchone() == (9001,)  # no number is given twice
    assert target.execute("SELECT text FROM notes ORDER BY rowid DESC").fetchone() == ("came next",)


def test_between_damaged_pages_all_rows_are_found(source_path: Path, target: sqlite3.Connection) -> None:
    pages = pages_of(source_path)
    assert len(pages) > 20
    for number in (2, 9, 10, 17):
        damage(source_path, pages[number])
    with closing(sqlite3.connect(source_path)) as source:
        result = salvage(source, target)
    assert not result.complete
    lost = sorted(set(range(1, ROWS)) - set(numbers(target)))
    per_page = ROWS / len(pages)
    assert 3 * per_page < len(lost) < 5 * per_page
    gaps = sum(1 for before, after in itertools.pairwise(lost) if after != before + 1)
    assert gaps == 2  # three islands of damage, and nothing beside them


def test_a_table_that_the_damaged_database_does_not_have_stays_empty(
    source_path: Path, target: sqlite3.Connection
) -> None:
    with closing(sqlite3.connect(source_path, isolation_level=None)) as source:
        source.execute("DROP TABLE things")
        result = salvage(source, target)
    assert result.rows == {"things": 0, "notes": ROWS}


def test_a_target_that_cannot_be_written_is_an_error_and_no_damage(
    source_path: Path, target: sqlite3.Connection
) -> None:
    target.execute("PRAGMA max_page_count = 8")
    with closing(sqlite3.connect(source_path)) as source, pytest.raises(sqlite3.OperationalError) as caught:
        salvage(source, target)
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    assert numbers(target) == []
