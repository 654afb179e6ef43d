"""Reads CSV into named, typed columns."""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["integer", "real", "text"]
Value = int | float | str | None

# The longest single field; without it Python's csv module stops at 128 KiB.
csv.field_size_limit(16 * 1024 * 1024)

# "007", "+49" and "1_000" look like numbers to Python, but are codes that have to keep their characters.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_REAL = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_INT64 = range(-(2**63), 2**63)
# Beyond these a float does not hold every integer.
_EXACT_IN_FLOAT = range(-(2**53), 2**53 + 1)
_BLANKS = " \t"


class CsvError(Exception):
    """The text is not a table. The message says where and why, in words for the caller."""


@dataclass(frozen=True)
class Column:
    """One column: its unique name, the name that the file had for it, and its type."""

    name: str
    header: str
    type: ColumnType


@dataclass(frozen=True)
class Table:
    """The columns, and rows with one value for each of them."""

    columns: list[Column]
    rows: list[tuple[Value, ...]]
    padded_rows: int


def read_table(lines: Iterable[str], delimiter: str, header: bool) -> Table:
    """Read CSV. Fields that are empty or blank become None; rows that are too short are filled up with None.

    A column is integer or real only if every value of it survives that unchanged; otherwise it is text. Integers
    that do not fit into 64 bits, or that stand among reals and would be rounded, are therefore text.

    Raises CsvError for malformed quotes, a row longer than the first one, and a text without any row.
    """
    numbered = _records(lines, delimiter)
    if not numbered:
        raise CsvError("the CSV is empty: not even a header was found")
    first = numbered[0][1]
    headers = [field.strip(_BLANKS) for field in first] if header else [""] * len(first)
    body = numbered[1:] if header else numbered
    for line, record in body:
        if len(record) > len(headers):
            raise CsvError(f"line {line} has {len(record)} fields, but the first line has {len(headers)}")
    padded = sum(len(record) < len(headers) for _, record in body)
    cells = [[*record, *[""] * (len(headers) - len(record))] for _, record in body]
    names = unique_names(headers)
    types = [_guess(cell[index] for cell in cells) for index in range(len(headers))]
    columns = [Column(name, old, type) for name, old, type in zip(names, headers, types, strict=True)]
    rows = [tuple(_convert(field, type) for field, type in zip(row, types, strict=True)) for row in cells]
    return Table(columns, rows, padded)


def unique_names(headers: list[str]) -> list[str]:
    """Name every column differently, also without regard to case.

    An empty header becomes `column_2` (for the second column), a second `x` becomes `x_2`.
    """
    taken = {header.casefold() for header in headers if header}
    used: set[str] = set()
    names = []
    for position, header in enumerate(headers, start=1):
        base = header.replace("\0", "") or f"column_{position}"
        name, copy = base, 1
        while name.casefold() in used or (name != header and name.casefold() in taken):
            copy += 1
            name = f"{base}_{copy}"
        used.add(name.casefold())
        names.append(name)
    return names


def _records(lines: Iterable[str], delimiter: str) -> list[tuple[int, list[str]]]:
    # Strict: otherwise a quote that is never closed swallows the rest of the file without a word.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        return [(reader.line_num, record) for record in reader if record]
    except csv.Error as error:
        raise CsvError(f"line {reader.line_num}: {error}") from error


def _guess(fields: Iterable[str]) -> ColumnType:
    guess: ColumnType | None = None
    exact_as_real = True
    for field in map(_stripped, fields):
        if not field:
            continue
        if _INTEGER.fullmatch(field) and int(field) in _INT64:
            exact_as_real = exact_as_real and int(field) in _EXACT_IN_FLOAT
            guess = guess or "integer"
        elif _is_real(field):
            guess = "real"
        else:
            return "text"
    if guess == "real" and not exact_as_real:
        return "text"
    return guess or "text"


def _is_real(field: str) -> bool:
    # A field of digits alone is an integer that was too large: as a float it would be rounded.
    return not field.lstrip("-").isdigit() and bool(_REAL.fullmatch(field)) and abs(float(field)) != float("inf")


def _convert(field: str, type: ColumnType) -> Value:
    stripped = _stripped(field)
    if not stripped:
        return None
    if type == "integer":
        return int(stripped)
    return float(stripped) if type == "real" else field


def _stripped(field: str) -> str:
    return field.strip(_BLANKS)
