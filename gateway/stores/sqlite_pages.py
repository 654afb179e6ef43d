"""Reading rows from the pages of a SQLite file without SQLite, for when its first page or its trees are damaged.

The layout is that of sqlite.org/fileformat2.html. Leaves of tables are read, and of their rows those that fit on one
page, which records of sessions do. On a page whose header is damaged records of sessions are looked for by their ids.
"""

import contextlib
import itertools
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.model import SESSION_ID_PREFIX
from gateway.stores.sqlite_files import beside

PAGE_SIZE = 4096
"""SQLite's default, which the store leaves as it is."""

_LEAF_OF_TABLE = 13
_OTHER_KINDS = frozenset({2, 5, 10})
_SMALLEST_HEADER, _LARGEST_HEADER = 15, 64
_HEADER_OF_FILE = 100
_HEADER_OF_LEAF = 8
_WAL_HEADER = 32
_WAL_MAGIC = frozenset({0x377F0682, 0x377F0683})
_FRAME_HEADER = 24
_LARGEST_ON_PAGE = PAGE_SIZE - 35
_LARGEST_VARINT = 9
_CONTINUES = 0x80
_INTEGER_SIZES = (0, 1, 2, 3, 4, 6, 8)
_FLOAT, _ZERO, _ONE, _FIRST_BLOB = 7, 8, 9, 12

Value = int | float | str | bytes | None


def rows_in(path: Path) -> Iterator[tuple[int, list[Value]]]:
    """Yield the rowid and the columns of each row on the pages of a file and of its write-ahead log, which has the
    newer state of a page. Pages that make no sense are passed over, as are rows. The file must not be in use.

    Rows come in no order, also such that have been deleted, and copies that are not the newest.
    """
    newer = dict(_logged_pages(beside(path, "-wal")))
    with path.open("rb") as file:
        number = 0
        while page := file.read(PAGE_SIZE):
            number += 1
            page = newer.pop(number, page)
            if len(page) == PAGE_SIZE:
                yield from _rows_on(page, _HEADER_OF_FILE if number == 1 else 0)
    for page in newer.values():
        yield from _rows_on(page, 0)


def _logged_pages(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of the log up to its last commit, the later state of a page later."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    if len(content) < _WAL_HEADER:
        return
    magic, _, page_size, _, salts = struct.unpack_from(">IIII8s", content)
    if magic not in _WAL_MAGIC or page_size != PAGE_SIZE:
        return
    pending: list[tuple[int, bytes]] = []
    for start in range(_WAL_HEADER, len(content) - _FRAME_HEADER - PAGE_SIZE + 1, _FRAME_HEADER + PAGE_SIZE):
        number, size_after_commit, frame_salts = struct.unpack_from(">II8s", content, start)
        if frame_salts != salts:  # left of an earlier round of the log
            return
        pending.append((number, content[start + _FRAME_HEADER : start + _FRAME_HEADER + PAGE_SIZE]))
        if size_after_commit:
            yield from pending
            pending = []


def _rows_on(page: bytes, start: int) -> Iterator[tuple[int, list[Value]]]:
    kind = page[start]
    if kind == _LEAF_OF_TABLE:
        (count,) = struct.unpack_from(">H", page, start + 3)
        first = start + _HEADER_OF_LEAF
        try:
            yield from [_row(page, offset) for (offset,) in struct.iter_unpack(">H", page[first : first + 2 * count])]
        except (IndexError, ValueError, struct.error):
            yield from _carved(page)
    elif kind not in _OTHER_KINDS:
        yield from _carved(page)


def _carved(page: bytes) -> Iterator[tuple[int, list[Value]]]:
    """Yield the rows on a page whose own account of where they are is lost: they are known by how their id begins,
    which is their first column with a content.
    """
    body = page.find(SESSION_ID_PREFIX.encode())
    while body >= 0:
        for header in range(max(body - _LARGEST_HEADER, 0), body - _SMALLEST_HEADER + 1):
            if page[header] == body - header:
                starts = [start for rowid in _varints_before(page, header) for start in _varints_before(page, rowid)]
                yield from itertools.islice(_rows_at(page, starts), 1)
        body = page.find(SESSION_ID_PREFIX.encode(), body + 1)


def _rows_at(page: bytes, offsets: Iterable[int]) -> Iterator[tuple[int, list[Value]]]:
    for offset in offsets:
        with contextlib.suppress(IndexError, ValueError, struct.error):
            yield _row(page, offset)


def _varints_before(data: bytes, end: int) -> list[int]:
    """Return where a varint may begin that ends before a position: what is before it may look like a part of it."""
    start = end - 1
    if start < 0 or data[start] >= _CONTINUES:
        return []
    starts = [start]
    while start > 0 and data[start - 1] >= _CONTINUES and len(starts) < _LARGEST_VARINT:
        start -= 1
        starts.append(start)
    return starts


def _row(page: bytes, offset: int) -> tuple[int, list[Value]]:
    size, offset = _varint(page, offset)
    rowid, offset = _varint(page, offset)
    if size > _LARGEST_ON_PAGE or offset + size > PAGE_SIZE:
        raise ValueError("not on one page")
    record = page[offset : offset + size]
    header_size, position = _varint(record, 0)
    types = []
    while position < header_size:
        kind, position = _varint(record, position)
        types.append(kind)
    if position != header_size:
        raise ValueError("a header that is none")
    values: list[Value] = []
    for kind in types:
        value, position = _value(record, position, kind)
        values.append(value)
    if position != size:
        raise ValueError("not the size that it says")
    return rowid, values


def _value(record: bytes, position: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, position
    if kind in (_ZERO, _ONE):
        return kind - _ZERO, position
    if kind >= _FIRST_BLOB:
        size = (kind - _FIRST_BLOB) // 2
    elif kind <= _FLOAT:
        size = 8 if kind == _FLOAT else _INTEGER_SIZES[kind]
    else:
        raise ValueError("no such type")
    data = record[position : position + size]
    if len(data) != size:
        raise ValueError("cut short")
    if kind == _FLOAT:
        return float(struct.unpack(">d", data)[0]), position + size
    if kind < _FIRST_BLOB:
        return int.from_bytes(data, "big", signed=True), position + size
    return (data.decode() if kind % 2 else data), position + size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for length in range(1, _LARGEST_VARINT + 1):
        byte = data[position + length - 1]
        if length == _LARGEST_VARINT:
            value = value << 8 | byte
            return (value - (1 << 64) if value >= 1 << 63 else value), position + length
        value = value << 7 | byte & 0x7F
        if byte < _CONTINUES:
            return value, position + length
    raise ValueError("no number")
