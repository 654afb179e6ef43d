"""What an app knows of its calls and of the end of its session."""

from pathlib import Path

import pytest

from gateway.testing.waiting import until
from tests.scenarios.conftest import StartGateway, StartVirtual

AWARE = {"aware": Path(__file__).parent.parent / "apps" / "aware"}


async def test_a_function_knows_its_call_its_session_and_the_time_left(start_virtual: StartVirtual) -> None:
    virtual = await start_virtual(AWARE)
    opened = await virtual.client.new(app="aware", deadline=None)
    assert opened.output["call_id"] == opened.response.call_id
    assert opened.output["session_id"] == opened.id
    assert opened.output["time_left"] is None
    plain = await virtual.client.run(app="aware", deadline=None)
    assert (plain.output["session_id"], plain.output["call_id"]) == ("", plain.response.call_id)


async def test_a_function_sees_how_long_its_caller_still_waits(start_gateway: StartGateway) -> None:
    client = await start_gateway(AWARE)
    answer = await client.run(app="aware", deadline=15.0)
    assert 0 < answer.output["time_left"] <= 15.0


@pytest.mark.parametrize("reason", ["caller", "idle_timeout", "gateway_restarted"])
async def test_the_app_hears_why_its_session_ends_before_it_unloads(
    start_virtual: StartVirtual, tmp_path: Path, reason: str
) -> None:
    virtual = await start_virtual(AWARE)
    diary = tmp_path / "diary"
    session = (await virtual.client.new("run", {"diary": str(diary)}, app="aware")).id
    if reason == "caller":
        await virtual.client.end(session)
    elif reason == "idle_timeout":
        await virtual.clock.advance(61)
    else:
        await start_virtual.stop()
    await until(lambda: diary.exists() and diary.read_text().endswith("unload\n"))
    assert diary.read_text().splitlines() == [f"on_end {reason} in no call", "unload"]


async def test_a_shared_worker_has_no_session_whose_end_it_could_hear(
    start_virtual: StartVirtual, tmp_path: Path
) -> None:
    virtual = await start_virtual(AWARE)
    diary = tmp_path / "diary"
    await virtual.client.run("run", {"diary": str(diary)}, app="aware")
    await start_virtual.stop()
    assert diary.read_text().splitlines() == ["unload"]
