"""SQL over CSV: load tables once, then ask about them in later calls of the session."""

import asyncio
import io
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, Self, TextIO, TypeVar, TypeVarTuple

from csv_columns import ColumnType, CsvError, Table, read_table
from memory_database import Cell, MemoryDatabase, RefusedError, Rows, Scalar, TimeLimitError, TooLargeError
from pydantic import ConfigDict, Field, model_validator

from sessiongateway.app import BaseApp, BaseAppInput, BaseAppOutput, Result

DATA = Path(__file__).parent / "data"
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_TABLES_IN_HINT = 20

TableName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]
Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")
ErrorKind = Literal["sql", "refused", "too_slow", "too_large", "parameter", "csv", "file"]


class StrictInput(BaseAppInput):
    model_config = ConfigDict(extra="forbid")


class LoadInput(StrictInput):
    name: TableName = Field(description="What to call the table.", examples=["cities"])
    csv: str | None = Field(default=None, description="The CSV text. Either this or `path`.")
    path: str | None = Field(
        default=None,
        description="A UTF-8 file with the CSV, relative to the session's working directory or else to the folder"
        " `data` beside the app. No other file can be read. Either this or `csv`.",
        examples=["cities.csv"],
    )
    delimiter: Literal[",", ";", "\t", "|"] = Field(default=",", description="What separates the fields.")
    header: bool = Field(default=True, description="Whether the first row names the columns.")
    replace: bool = Field(default=False, description="Whether a table that has this name already is replaced.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.csv is None) == (self.path is None):
            raise ValueError("give either `csv` or `path`")
        return self


class Problem(BaseAppOutput):
    kind: ErrorKind = Field(description="What kind of problem it is, for programs.")
    message: str = Field(description="What is wrong.")
    hint: str = Field(default="", description="What may help.")


class Column(BaseAppOutput):
    name: str = Field(description="The name in SQL.")
    type: ColumnType = Field(description="The type that was guessed from all values of the column.")
    header: str = Field(description="The name in the CSV, where it is empty, repeated or missing.")


class LoadOutput(BaseAppOutput):
    ok: bool = Field(description="Whether the table is loaded. If not, nothing has changed.")
    error: Problem | None = Field(default=None, description="Why not.")
    columns: list[Column] = Field(default=[], description="The columns of the table.")
    row_count: int = Field(default=0, description="Rows in the table.")
    padded_rows: int = Field(default=0, description="Rows that had too few fields; NULL stands for the missing ones.")


class QueryInput(StrictInput):
    sql: str = Field(min_length=1, description="One SQL statement that reads, in SQLite's dialect.")
    params: list[Scalar] | dict[str, Scalar] = Field(
        default=[], description="Values for the placeholders: a list for `?`, an object for `:name`."
    )
    limit: int = Field(default=100, ge=1, le=10_000, description="How many rows to return at most.")
    timeout_seconds: float = Field(default=10, gt=0, le=300, description="How long the query may take.")


class QueryOutput(BaseAppOutput):
    ok: bool = Field(description="Whether the query was answered.")
    error: Problem | None = Field(default=None, description="Why not.")
    columns: list[str] = Field(default=[], description="The names of the columns; several may be equal.")
    rows: list[list[Cell]] = Field(
        default=[],
        description="The rows, a list of values each. Integers are exact to 64 bits; a blob is"
        ' {"base64": "..."}; an infinite number is the text "Infinity" or "-Infinity".',
    )
    row_count: int = Field(default=0, description="How many rows are returned here.")
    truncated: bool = Field(default=False, description="Whether there are more: the limit or 1 MiB was reached.")


class RowsInput(StrictInput):
    sql: str = Field(min_length=1, description="One SQL statement that reads, in SQLite's dialect.")
    params: list[Scalar] | dict[str, Scalar] = Field(
        default=[], description="Values for the placeholders: a list for `?`, an object for `:name`."
    )
    batch_rows: int = Field(default=100, ge=1, le=1000, description="How many rows a batch has at most.")
    timeout_seconds: float = Field(default=10, gt=0, le=300, description="How long each batch may take.")


class Batch(BaseAppOutput):
    columns: list[str] = Field(description="The names of the columns; several may be equal.")
    rows: list[list[Cell]] = Field(description="The next rows, with values as `query` has them; 1 MiB at most.")


class RowsOutput(BaseAppOutput):
    ok: bool = Field(description="Whether the query was answered to its end.")
    error: Problem | None = Field(default=None, description="Why not.")
    row_count: int = Field(default=0, description="How many rows all batches had together.")


class TableOutput(BaseAppOutput):
    name: str = Field(description="The table's name.")
    columns: dict[str, str] = Field(description="The type of each column.")
    row_count: int = Field(description="Rows in the table.")


class TablesOutput(BaseAppOutput):
    tables: list[TableOutput] = Field(description="The tables, in order of their names.")


QUERY_ERRORS = (RefusedError, TimeLimitError, TooLargeError, sqlite3.Error, OverflowError, UnicodeError)
NO_STATEMENT = Problem(kind="sql", message="there is no statement in this text")


class App(BaseApp):
    """One database for each worker, and so for each session."""

    def setup(self) -> None:
        self._database = MemoryDatabase()

    def unload(self) -> None:
        self._database.close()

    def load(self, input: LoadInput) -> LoadOutput:
        """Load a table from CSV. The types of its columns are guessed; an empty field is NULL."""
        try:
            table = _read(input)
            self._database.load(input.name, table, input.replace)
        except (CsvError, OSError, UnicodeError, sqlite3.Error) as error:
            return LoadOutput(ok=False, error=_load_problem(error))
        columns = [Column(name=column.name, type=column.type, header=column.header) for column in table.columns]
        return LoadOutput(ok=True, columns=columns, row_count=len(table.rows), padded_rows=table.padded_rows)

    async def query(self, input: QueryInput) -> QueryOutput:
        """Answer a query about the loaded tables. It can only read: tables come and go by `load`."""
        try:
            result = await self._run(input)
        except QUERY_ERRORS as error:
            return QueryOutput(ok=False, error=self._query_problem(error))
        if not result.columns:
            return QueryOutput(ok=False, error=NO_STATEMENT)
        return QueryOutput(
            ok=True,
            columns=result.columns,
            rows=result.rows,
            row_count=len(result.rows),
            truncated=result.truncated,
        )

    async def rows(self, input: RowsInput) -> AsyncIterator[Batch | Result[RowsOutput]]:
        """Answer a query with all of its rows, however many: in batches, computed as fast as they are read."""
        stop, count = threading.Event(), 0
        batches = self._database.batches(input.sql, input.params, input.batch_rows, input.timeout_seconds, stop)
        try:
            while (batch := await _in_thread(stop, next, batches, None)) is not None:
                if not batch.columns:
                    yield Result(RowsOutput(ok=False, error=NO_STATEMENT))
                    return
                count += len(batch.rows)
                yield Batch(columns=batch.columns, rows=batch.rows)
            yield Result(RowsOutput(ok=True, row_count=count))
        except QUERY_ERRORS as error:
            yield Result(RowsOutput(ok=False, error=self._query_problem(error), row_count=count))
        finally:
            batches.close()

    def tables(self) -> TablesOutput:
        """List the loaded tables with their columns."""
        tables = [
            TableOutput(name=table.name, columns=dict(table.columns), row_count=table.row_count)
            for table in self._database.tables()
        ]
        return TablesOutput(tables=tables)

    async def _run(self, input: QueryInput) -> Rows:
        stop = threading.Event()
        return await _in_thread(
            stop, self._database.query, input.sql, input.params, input.limit, input.timeout_seconds, stop
        )

    def _query_problem(self, error: Exception) -> Problem:
        message = str(error)
        match error:
            case RefusedError():
                return Problem(kind="refused", message=message, hint="a query only reads; `load` makes tables")
            case TimeLimitError():
                hint = "ask for less, or raise timeout_seconds (300 at most)"
                return Problem(kind="too_slow", message=message, hint=hint)
            case TooLargeError():
                return Problem(kind="too_large", message=message, hint="select parts of it, with substr() for example")
            case OverflowError() | UnicodeError():
                hint = "integers have at most 64 bits, and text is Unicode"
                return Problem(kind="parameter", message=message, hint=hint)
        return Problem(kind="sql", message=message, hint=self._tables_hint())

    def _tables_hint(self) -> str:
        tables = self._database.tables()
        if not tables:
            return "no table is loaded in this session"
        shown = [f"{table.name}({', '.join(name for name, _ in table.columns)})" for table in tables]
        more = ", and more" if len(shown) > MAX_TABLES_IN_HINT else ""
        return "tables: " + ", ".join(shown[:MAX_TABLES_IN_HINT]) + more


async def _in_thread(stop: threading.Event, function: Callable[[*Arguments], Answer], *arguments: *Arguments) -> Answer:
    # So that the call can be cancelled while SQLite computes. The database serves one caller at a time, hence a
    # cancelled call ends only after its query has stopped.
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        # Marks how it ended as seen: nobody waits for that any more.
        work.exception()
        raise


def _read(input: LoadInput) -> Table:
    with _opened(input) as lines:
        return read_table(lines, input.delimiter, input.header)


@contextmanager
def _opened(input: LoadInput) -> Iterator[TextIO]:
    if input.path is None:
        yield io.StringIO((input.csv or "").removeprefix("\ufeff"), newline="")
        return
    with _allowed_file(input.path).open(encoding="utf-8-sig", newline="") as file:
        yield file


def _allowed_file(path: str) -> Path:
    if "\0" not in path:
        for folder in (Path.cwd().resolve(), DATA.resolve()):
            file = (folder / path).resolve()
            if file.is_relative_to(folder) and file.is_file():
                if file.stat().st_size > MAX_FILE_BYTES:
                    raise OSError(f"the file is larger than {MAX_FILE_BYTES} bytes")
                return file
    raise OSError(f"no such file in the session's working directory or in the app's data: {path}")


def _load_problem(error: Exception) -> Problem:
    match error:
        case CsvError():
            return Problem(kind="csv", message=str(error))
        case UnicodeError():
            return Problem(kind="csv", message="the CSV is not UTF-8 text")
        case OSError():
            return Problem(kind="file", message=str(error))
    return Problem(kind="sql", message=str(error), hint="a table of the same name is replaced with `replace`")
