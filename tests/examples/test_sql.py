"""The SQL example."""

import asyncio
import itertools
import math
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pydantic
import pytest

from tests.examples.conftest import EXAMPLES, RunningApp, StartApp

PEOPLE = "name,age,height\nAnn,34,1.71\nBob,,1.8\nCem,51,\n"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def load(app: RunningApp, csv: str, name: str = "t", **more: Any) -> dict[str, Any]:
    return await app.call("load", {"name": name, "csv": csv, **more})


async def query(app: RunningApp, sql: str, **more: Any) -> dict[str, Any]:
    return await app.call("query", {"sql": sql, **more})


class TestLoading:
    async def test_a_table_that_was_loaded_once_answers_many_queries(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            loaded = await load(app, PEOPLE, "people")
            assert (loaded["ok"], loaded["row_count"]) == (True, 3)
            assert (await query(app, "SELECT sum(age) AS years FROM people"))["rows"] == [[85]]
            answer = await query(app, "SELECT * FROM people ORDER BY name DESC")
        assert answer["columns"] == ["name", "age", "height"]
        assert answer["rows"] == [["Cem", 51, None], ["Bob", None, 1.8], ["Ann", 34, 1.71]]
        assert answer["truncated"] is False

    @pytest.mark.parametrize(
        ("values", "type", "stored"),
        [
            (["1", "-20", "0"], "integer", [1, -20, 0]),
            (["1", " 2", "3 "], "integer", [1, 2, 3]),
            (["9007199254740993", "-9223372036854775808"], "integer", [2**53 + 1, -(2**63)]),
            (["9223372036854775808"], "text", ["9223372036854775808"]),
            (["1", "9223372036854775808"], "text", ["1", "9223372036854775808"]),
            (["1", "2.5", ".5", "-1e3"], "real", [1.0, 2.5, 0.5, -1000.0]),
            (["9007199254740993", "1.5"], "text", ["9007199254740993", "1.5"]),
            (["1.5", "1e999"], "text", ["1.5", "1e999"]),
            (["007", "12"], "text", ["007", "12"]),
            (["+49", "1"], "text", ["+49", "1"]),
            (["-0"], "text", ["-0"]),
            (["1_000"], "text", ["1_000"]),
            (["nan", "1"], "text", ["nan", "1"]),
            (["inf"], "text", ["inf"]),
            (["."], "text", ["."]),
            (["٣"], "text", ["٣"]),
            ([" kept ", "as is"], "text", [" kept ", "as is"]),
            (["5", '""', "  "], "integer", [5, None, None]),
        ],
    )
    async def test_a_type_is_guessed_only_if_every_value_survives_it(
        self, start_app: StartApp, values: list[str], type: str, stored: list[Any]
    ) -> None:
        async with start_app("sql") as app:
            loaded = await load(app, "\n".join(["v,w", *(f"{value},x" for value in values)]))
            answer = await query(app, "SELECT v, typeof(v) FROM t")
        assert loaded["columns"][0]["type"] == type
        assert [row[0] for row in answer["rows"]] == stored
        assert {row[1] for row in answer["rows"]} <= {type, "null"}

    @pytest.mark.parametrize(
        ("header", "names"),
        [
            ("a,a,A,a_2", ["a", "a_3", "A_4", "a_2"]),
            (",x,  ,column_1", ["column_1_2", "x", "column_3", "column_1"]),
            ('"we ""quote""",select,a b', ['we "quote"', "select", "a b"]),
            ('"a];--",a\0b', ["a];--", "ab"]),
        ],
    )
    async def test_every_column_gets_a_name_of_its_own(
        self, start_app: StartApp, header: str, names: list[str]
    ) -> None:
        async with start_app("sql") as app:
            loaded = await load(app, header + "\n" + ",".join("1" * len(names)) + "\n")
            answer = await query(app, "SELECT * FROM t")
        assert loaded["error"] is None
        assert [column["name"] for column in loaded["columns"]] == names
        assert answer["columns"] == names

    @pytest.mark.parametrize("name", ['a"b', "x; DROP TABLE t; --", "select", "zażółć", "  "])
    async def test_any_table_name_is_only_a_name(self, start_app: StartApp, name: str) -> None:
        async with start_app("sql") as app:
            await load(app, "keep\n1\n")
            assert (await load(app, "a\n1\n", name))["ok"] is True
            tables = (await app.call("tables"))["tables"]
        assert sorted(table["name"] for table in tables) == sorted(["t", name])

    async def test_fields_may_hold_delimiters_quotes_and_line_breaks(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            await load(app, '\ufeffa;b\r\n"1;2";"say ""hi""\r\nthere"\r\n', delimiter=";")
            answer = await query(app, "SELECT a, b FROM t")
        assert answer["rows"] == [["1;2", 'say "hi"\r\nthere']]

    async def test_without_a_header_columns_are_numbered(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            await load(app, "1,x\n2,y\n", header=False)
            answer = await query(app, "SELECT column_1, column_2 FROM t")
        assert answer["rows"] == [[1, "x"], [2, "y"]]

    async def test_short_rows_are_filled_with_null_and_counted(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            loaded = await load(app, "a,b\n1\n\n2,3\n")
            answer = await query(app, "SELECT * FROM t")
        assert loaded["padded_rows"] == 1
        assert answer["rows"] == [[1, None], [2, 3]]

    @pytest.mark.parametrize(
        ("csv", "words"),
        [
            ("", "empty"),
            ("\n\n", "empty"),
            ("a,b\n1,2\n1,2,3\n", "line 3 has 3 fields"),
            ('a,b\n1,"never closed\n2,3\n', "line 3"),
            ('a\n"x"y\n', "line 2"),
        ],
    )
    async def test_bad_csv_is_answered_with_the_place(self, start_app: StartApp, csv: str, words: str) -> None:
        async with start_app("sql") as app:
            loaded = await load(app, csv)
            assert (await app.call("tables"))["tables"] == []
        assert loaded["ok"] is False
        assert loaded["error"]["kind"] == "csv"
        assert words in loaded["error"]["message"]

    async def test_a_table_is_replaced_only_on_demand_and_only_by_a_good_one(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            await load(app, "a\n1\n")
            refused = await load(app, "a\n2\n", "T")
            assert (refused["error"]["kind"], "already exists" in refused["error"]["message"]) == ("sql", True)
            too_wide = ",".join(f"c{number}" for number in range(2001))
            assert (await load(app, too_wide, replace=True))["ok"] is False
            assert (await query(app, "SELECT a FROM t"))["rows"] == [[1]]
            assert (await load(app, "b\n3\n", replace=True))["ok"] is True
            assert (await query(app, "SELECT b FROM t"))["rows"] == [[3]]

    async def test_tables_lists_names_types_and_sizes(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            await load(app, PEOPLE, "people")
            await load(app, "only_header\n", "empty")
            tables = (await app.call("tables"))["tables"]
        assert tables == [
            {"name": "empty", "columns": {"only_header": "text"}, "row_count": 0},
            {"name": "people", "columns": {"name": "text", "age": "integer", "height": "real"}, "row_count": 3},
        ]


class TestFiles:
    async def test_a_file_of_the_app_is_loaded_by_its_name(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            loaded = await app.call("load", {"name": "cities", "path": "cities.csv"})
            answer = await query(app, "SELECT city FROM cities WHERE population < ?", params=[1_000_000])
        assert loaded["ok"] is True
        assert answer["rows"] == [["Reykjavík"]]

    async def test_a_file_of_the_working_directory_comes_first(self, start_app: StartApp, tmp_path: Path) -> None:
        (tmp_path / "cities.csv").write_text("\ufeffmine\n1\n", encoding="utf-8")
        async with start_app("sql") as app:
            loaded = await app.call("load", {"name": "cities", "path": "cities.csv"})
        assert [column["name"] for column in loaded["columns"]] == ["mine"]

    @pytest.mark.parametrize(
        "path", ["missing.csv", "../app.py", str(EXAMPLES / "sql" / "app.py"), "", ".", "link", "a\0b"]
    )
    async def test_no_other_file_can_be_read(self, start_app: StartApp, tmp_path: Path, path: str) -> None:
        (tmp_path / "link").symlink_to(EXAMPLES / "sql" / "app.py")
        async with start_app("sql") as app:
            loaded = await app.call("load", {"name": "t", "path": path})
        assert loaded["error"]["kind"] == "file"

    async def test_a_file_that_is_not_utf8_is_refused(self, start_app: StartApp, tmp_path: Path) -> None:
        (tmp_path / "latin.csv").write_bytes(b"a\n\xe9\n")
        async with start_app("sql") as app:
            loaded = await app.call("load", {"name": "t", "path": "latin.csv"})
        assert loaded["error"]["kind"] == "csv"
        assert "UTF-8" in loaded["error"]["message"]


class TestQueries:
    async def test_parameters_are_values_and_never_sql(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            await load(app, PEOPLE, "people")
            injected = await query(app, "SELECT * FROM people WHERE name = ?", params=["' OR 1=1 --"])
            values = await query(app, "SELECT ?, ?, ?, ?, ?", params=[2**53 + 1, 1.5, "x", None, True])
            named = await query(app, "SELECT name FROM people WHERE age > :age", params={"age": 40})
        assert injected["rows"] == []
        assert values["rows"] == [[2**53 + 1, 1.5, "x", None, 1]]
        assert named["rows"] == [["Cem"]]

    @pytest.mark.parametrize(("limit", "rows", "truncated"), [(1, 1, True), (2, 2, True), (3, 3, False), (4, 3, False)])
    async def test_rows_beyond_the_limit_are_cut_and_said_to_be(
        self, start_app: StartApp, limit: int, rows: int, truncated: bool
    ) -> None:
        async with start_app("sql") as app:
            await load(app, PEOPLE, "people")
            answer = await query(app, "SELECT * FROM people", limit=limit)
        assert (len(answer["rows"]), answer["row_count"], answer["truncated"]) == (rows, rows, truncated)

    async def test_an_answer_is_bounded_in_bytes_too(self, start_app: StartApp) -> None:
        many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT i, {} FROM n"
        async with start_app("sql") as app:
            answer = await query(app, many.format("printf('%.100000c', 'x')"))
            escaped = await query(app, many.format("replace(printf('%.100000c', 'x'), 'x', char(1))"))
            huge = await query(app, "SELECT printf('%.2000000c', 'x')")
        assert (answer["row_count"], answer["truncated"]) == (10, True)
        assert (escaped["row_count"], escaped["truncated"]) == (1, True)
        assert (huge["ok"], huge["error"]["kind"]) == (False, "too_large")

    async def test_what_json_lacks_has_a_form_of_its_own(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            answer = await query(app, "SELECT x'00ff', 9e999, -9e999, CAST(x'41ff' AS TEXT), 1 AS a, 2 AS a")
        assert answer["rows"] == [[{"base64": "AP8="}, "Infinity", "-Infinity", "A�", 1, 2]]
        assert answer["columns"][-2:] == ["a", "a"]

    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM people",
            "UPDATE people SET age = 1",
            "INSERT INTO people VALUES (1, 2, 3) RETURNING *",
            "DROP TABLE people",
            "CREATE TABLE x (a)",
            "CREATE TEMP TABLE x (a)",
            "WITH x AS (SELECT 1) DELETE FROM people",
            "ATTACH DATABASE 'other.db' AS other",
            "VACUUM INTO 'copy.db'",
            "PRAGMA query_only = 1",
            "PRAGMA writable_schema = 1",
            "BEGIN",
            "SELECT load_extension('x')",
        ],
    )
    async def test_a_statement_that_does_more_than_read_is_refused(self, start_app: StartApp, sql: str) -> None:
        async with start_app("sql") as app:
            await load(app, PEOPLE, "people")
            answer = await query(app, sql)
            assert len((await query(app, "SELECT * FROM people WHERE age IS NOT 1"))["rows"]) == 3
            assert (await load(app, PEOPLE, "people", replace=True))["ok"] is True
        assert (answer["ok"], answer["error"]["kind"]) == (False, "refused")
        assert os.listdir() == []  # noqa: PTH208  the paths' names are all that matters

    async def test_the_schema_can_be_read(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            await load(app, "load_extension\n1\n")
            pragma = await query(app, "PRAGMA table_info(t)")
            schema = await query(app, "SELECT name FROM sqlite_schema")
            plan = await query(app, "EXPLAIN QUERY PLAN SELECT load_extension FROM t")
        assert pragma["rows"][0][1] == "load_extension"
        assert schema["rows"] == [["t"]]
        assert plan["ok"] is True

    @pytest.mark.parametrize(
        ("sql", "params", "kind", "words"),
        [
            ("SELEC 1", [], "sql", "syntax error"),
            ("SELECT nme FROM people", [], "sql", "no such column: nme"),
            ("SELECT 1; SELECT 2", [], "sql", "one statement"),
            ("-- only a comment", [], "sql", "no statement"),
            ("SELECT ?", [], "sql", "binding"),
            ("SELECT :a", {"b": 1}, "sql", ":a"),
            ("SELECT ?", [2**63], "parameter", "too large"),
            ("SELECT zeroblob(1000000000)", [], "sql", "too big"),
            ("SELECT '\0'", [], "sql", "null character"),
        ],
    )
    async def test_an_error_in_the_sql_is_an_answer_that_explains(
        self, start_app: StartApp, sql: str, params: Any, kind: str, words: str
    ) -> None:
        async with start_app("sql") as app:
            await load(app, PEOPLE, "people")
            answer = await query(app, sql, params=params)
            assert (await query(app, "SELECT 1"))["rows"] == [[1]]
        assert (answer["ok"], answer["error"]["kind"], answer["rows"]) == (False, kind, [])
        assert words in answer["error"]["message"]

    async def test_an_sql_error_tells_which_tables_there_are(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            assert "no table is loaded" in (await query(app, "SELECT * FROM peple"))["error"]["hint"]
            await load(app, PEOPLE, "people")
            answer = await query(app, "SELECT * FROM peple")
        assert answer["error"]["hint"] == "tables: people(name, age, height)"

    async def test_an_endless_query_is_stopped_after_its_time(self, start_app: StartApp) -> None:
        async with start_app("sql") as app:
            answer = await query(app, ENDLESS, timeout_seconds=0.01)
            assert (await query(app, "SELECT 1"))["rows"] == [[1]]
        assert answer["error"]["kind"] == "too_slow"

    async def test_a_cancelled_query_stops_and_the_database_goes_on(self, start_app: StartApp) -> None:
        computing = threading.Event()
        looks, enough = itertools.count(), 100_000

        def clock() -> float:
            # The second look at the clock comes from inside of the running query. Time does not pass, until so many
            # looks that the cancellation must have been missed.
            look = next(looks)
            if look:
                computing.set()
            return 0.0 if look < enough else math.inf

        async with start_app("sql") as app:
            app.instance._database.close()  # type: ignore[attr-defined]
            app.instance._database = sys.modules["memory_database"].MemoryDatabase(clock)  # type: ignore[attr-defined]
            await load(app, PEOPLE, "people")
            running = asyncio.ensure_future(query(app, ENDLESS))
            assert await asyncio.to_thread(computing.wait, 10)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert next(looks) < enough
            assert (await query(app, "SELECT count(*) FROM people"))["rows"] == [[3]]


@pytest.mark.parametrize(
    ("function", "input", "field"),
    [
        ("load", {"name": "t"}, ()),
        ("load", {"name": "t", "csv": "a", "path": "a"}, ()),
        ("load", {"name": "", "csv": "a"}, ("name",)),
        ("load", {"name": "a\0b", "csv": "a"}, ("name",)),
        ("load", {"name": "t", "csv": "a", "delimiter": "ab"}, ("delimiter",)),
        ("query", {"sql": ""}, ("sql",)),
        ("query", {"sql": "SELECT 1", "limit": 0}, ("limit",)),
        ("query", {"sql": "SELECT 1", "limits": 1}, ("limits",)),
        ("query", {"sql": "SELECT 1", "timeout_seconds": 301}, ("timeout_seconds",)),
    ],
)
async def test_a_wrong_input_is_refused_by_the_name_of_its_field(
    start_app: StartApp, function: str, input: dict[str, Any], field: tuple[str, ...]
) -> None:
    async with start_app("sql") as app:
        with pytest.raises(pydantic.ValidationError) as refused:
            await app.call(function, input)
    assert refused.value.errors()[0]["loc"] == field
