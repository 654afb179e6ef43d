"""The SQL example's generator: all rows of a query, in batches."""

from contextlib import aclosing
from typing import Any

import pytest

from tests.examples.conftest import RunningApp, StartApp

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) SELECT {} FROM n"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"


async def rows(app: RunningApp, sql: str, **more: Any) -> tuple[list[list[Any]], dict[str, Any]]:
    """Return the rows of each batch, and the result."""
    *batches, result = [output async for output in app.stream("rows", {"sql": sql, **more})]
    return [batch["rows"] for batch in batches], result


@pytest.mark.parametrize(
    ("count", "batches"),
    [(0, [0]), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])],
)
async def test_every_row_comes_once_in_batches_of_the_size_asked_for(
    start_app: StartApp, count: int, batches: list[int]
) -> None:
    async with start_app("sql") as app:
        found, result = await rows(app, NUMBERS.format(max(count, 1), "i") + f" WHERE i <= {count}", batch_rows=3)
    assert [len(batch) for batch in found] == batches
    assert [row for batch in found for row in batch] == [[number] for number in range(1, count + 1)]
    assert result == {"ok": True, "error": None, "row_count": count}


async def test_a_batch_is_bounded_in_bytes_too(start_app: StartApp) -> None:
    async with start_app("sql") as app:
        found, result = await rows(app, NUMBERS.format(25, "printf('%.100000c', 'x')"))
    assert [len(batch) for batch in found] == [10, 10, 5]
    assert result["row_count"] == 25


async def test_batches_are_computed_as_they_are_read_and_a_reader_may_stop(start_app: StartApp) -> None:
    async with start_app("sql") as app:
        async with aclosing(app.stream("rows", {"sql": ENDLESS, "batch_rows": 1000})) as batches:
            assert [(await anext(batches))["rows"][0] for _ in range(3)] == [[1], [1001], [2001]]
        assert (await app.call("query", {"sql": "SELECT 1"}))["rows"] == [[1]]
        assert (await app.call("load", {"name": "t", "csv": "a\n1\n"}))["ok"] is True


@pytest.mark.parametrize(
    ("sql", "kind", "batches"),
    [
        ("SELEC 1", "sql", 0),
        ("-- only a comment", "sql", 0),
        ("DELETE FROM people", "refused", 0),
        (NUMBERS.format(3, "CASE WHEN i < 3 THEN i ELSE zeroblob(3000000) END"), "too_large", 2),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", "too_slow", 0),
    ],
)
async def test_what_goes_wrong_is_the_result_and_the_rows_before_it_have_come(
    start_app: StartApp, sql: str, kind: str, batches: int
) -> None:
    async with start_app("sql") as app:
        await app.call("load", {"name": "people", "csv": "a\n1\n"})
        found, result = await rows(app, sql, batch_rows=1, timeout_seconds=0.05)
        assert (await app.call("query", {"sql": "SELECT a FROM people"}))["rows"] == [[1]]
    assert (result["ok"], result["error"]["kind"]) == (False, kind)
    assert (len(found), result["row_count"]) == (batches, batches)
