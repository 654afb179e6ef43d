"""The key-value example."""

from typing import Any

import pydantic
import pytest

from tests.examples.conftest import StartApp


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1.5, 2**53 + 1, 10**30, "", "żółw 🐢", [1, [2, {"a": None}]], {"nested": {"deep": [True]}}],
)
async def test_any_json_value_comes_back_exactly(start_app: StartApp, value: Any) -> None:
    async with start_app("kv") as app:
        assert await app.call("set_value", {"key": "k", "value": value}) == {"success": True}
        answer = await app.call("get_value", {"key": "k"})
    assert answer == {"value": value, "found": True}
    assert type(answer["value"]) is type(value)


async def test_a_missing_key_is_told_from_a_stored_null(start_app: StartApp) -> None:
    async with start_app("kv") as app:
        await app.call("set_value", {"key": "nothing", "value": None})
        assert (await app.call("get_value", {"key": "nothing"}))["found"] is True
        assert await app.call("get_value", {"key": "other"}) == {"value": None, "found": False}


async def test_a_deleted_key_is_gone(start_app: StartApp) -> None:
    async with start_app("kv") as app:
        await app.call("set_value", {"key": "k", "value": 1})
        assert await app.call("delete", {"key": "k"}) == {"deleted": True}
        assert await app.call("delete", {"key": "k"}) == {"deleted": False}
        assert (await app.call("get_value", {"key": "k"}))["found"] is False


async def test_keys_are_listed_by_prefix_in_order_and_up_to_the_limit(start_app: StartApp) -> None:
    async with start_app("kv") as app:
        for key in ("b1", "a1", "b2", "b3"):
            await app.call("set_value", {"key": key, "value": 0})
        assert await app.call("keys") == {"keys": ["b1", "a1", "b2", "b3"], "total": 4}
        assert await app.call("keys", {"prefix": "b", "limit": 2}) == {"keys": ["b1", "b2"], "total": 3}


async def test_run_counts_its_calls_echoes_the_action_and_stores_the_rest(start_app: StartApp) -> None:
    async with start_app("kv") as app:
        assert await app.call("run", {"action": "init"}) == {"calls": 1, "action": "init", "state": {}}
        assert await app.call("run", {"key": "value"}) == {"calls": 2, "action": None, "state": {"key": "value"}}
        answer = await app.call("run", {"action": "process", "key": "value2", "n": [1]})
        assert answer == {"calls": 3, "action": "process", "state": {"key": "value2", "n": [1]}}
        assert await app.call("get_value", {"key": "n"}) == {"value": [1], "found": True}


@pytest.mark.parametrize("name", ["", "_private", "model_config", "model_extra", "self", "run", "a.b c"])
async def test_run_takes_any_name_of_an_entry(start_app: StartApp, name: str) -> None:
    async with start_app("kv") as app:
        assert (await app.call("run", {name: 1}))["state"] == {name: 1}


async def test_two_instances_share_nothing(start_app: StartApp) -> None:
    async with start_app("kv") as first, start_app("kv") as second:
        await first.call("run", {"key": "value"})
        assert (await second.call("run"))["state"] == {}


@pytest.mark.parametrize(
    ("function", "input", "field"),
    [
        ("set_value", {"key": "k"}, "value"),
        ("set_value", {"key": 1, "value": 1}, "key"),
        ("get_value", {"key": "k", "vlaue": 1}, "vlaue"),
        ("delete", {}, "key"),
        ("keys", {"limit": 0}, "limit"),
    ],
)
async def test_a_wrong_input_is_refused_by_the_name_of_its_field(
    start_app: StartApp, function: str, input: dict[str, Any], field: str
) -> None:
    async with start_app("kv") as app:
        with pytest.raises(pydantic.ValidationError) as refused:
            await app.call(function, input)
    assert [error["loc"] for error in refused.value.errors()] == [(field,)]
