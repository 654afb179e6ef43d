"""Pinning, and calls that are sent twice: rule 10 and "Did my call run?" of the contract, on both kinds of gateway."""

import asyncio
from pathlib import Path

import pytest

from gateway.apps.deploy import deploy
from gateway.testing.gate import Gate
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import Client, failure
from tests.scenarios.conftest import PROBE, StartGateway


async def test_rule_10_another_app_is_app_mismatch_with_both_in_the_detail(client: Client) -> None:
    opened = await client.new()
    error = await failure(client.run(session=opened.id, app="other@1"))
    assert (error.code, error.run_state) == ("APP_MISMATCH", "NOT_STARTED")
    assert (error.detail.session_app.app, error.detail.session_app.version) == ("probe", opened.session.version)
    assert (error.detail.requested_app.app, error.detail.requested_app.version) == ("other", "1")
    assert (error.info.metadata["sessionApp"], error.info.metadata["requestedApp"]) == ("probe", "other")
    assert error.detail.session_id == opened.id
    assert (await client.run(session=opened.id)).output["calls"] == 2


async def test_rule_10_another_version_is_version_mismatch_with_both_in_the_detail(client: Client) -> None:
    opened = await client.new()
    error = await failure(client.run(session=opened.id, app="probe@older"))
    assert (error.code, error.run_state) == ("VERSION_MISMATCH", "NOT_STARTED")
    assert error.detail.session_app.version == opened.session.version
    assert error.detail.requested_app.version == "older"
    assert error.info.metadata["sessionVersion"] == opened.session.version
    assert error.info.metadata["requestedVersion"] == "older"


async def test_rule_10_a_session_is_called_by_its_name_alone_and_with_its_version(client: Client) -> None:
    opened = await client.new()
    for app in ("probe", "probe@latest", f"probe@{opened.session.version}"):
        assert (await client.run(session=opened.id, app=app)).id == opened.id


async def test_rule_10_a_newer_deployment_is_current_at_once_and_old_sessions_keep_their_version(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    apps = tmp_path / "data" / "apps"
    older = deploy(probe(tmp_path / "older", "# older"), apps, "probe")
    client = await start_gateway(apps={"other": PROBE})
    opened = await client.new()
    assert opened.session.version == older.ref.version
    newer = deploy(probe(tmp_path / "newer", "# newer"), apps, "probe")
    error = await failure(client.run(session=opened.id))
    assert error.code == "VERSION_MISMATCH"
    assert error.detail.requested_app.version == newer.ref.version
    assert (await client.run(session=opened.id, app=str(older.ref))).output["calls"] == 2
    assert (await client.new()).session.version == newer.ref.version
    assert (await client.new(app=str(older.ref))).session.version == older.ref.version


async def test_rule_10_the_newest_deployment_may_be_an_older_content(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    apps = tmp_path / "data" / "apps"
    one, two = probe(tmp_path / "one", "# 1"), probe(tmp_path / "two", "# 2")
    first = deploy(one, apps, "probe")
    deploy(two, apps, "probe")
    client = await start_gateway(apps={"other": PROBE})
    deploy(one, apps, "probe")
    assert (await client.new()).session.version == first.ref.version


def probe(directory: Path, line: str) -> Path:
    """Return the directory of a copy of the app `probe` with another content."""
    directory.mkdir()
    (directory / "app.py").write_text((PROBE / "app.py").read_text() + line + "\n")
    return directory


async def test_a_repeated_request_id_returns_the_first_answer_and_does_not_run_again(client: Client) -> None:
    session = (await client.new()).id
    first = await client.run("run", {"n": 1}, session=session, request_id="twice")
    again = await client.run("run", {"n": 1}, session=session, request_id="twice")
    assert (again.output, again.response.call_id) == (first.output, first.response.call_id)
    assert (await client.get(session)).call_count == 2


async def test_a_repeated_new_opens_one_session(client: Client) -> None:
    first = await client.new(request_id="new")
    again = await client.new(request_id="new")
    assert again.id == first.id
    assert len((await client.list()).sessions) == 1


async def test_a_request_id_of_another_caller_is_another_one(client: Client) -> None:
    await client.new("run", {"mine": 1}, request_id="same")
    theirs = await client.as_caller("someone-else").new("run", {"theirs": 1}, request_id="same")
    assert theirs.output["input"] == {"theirs": 1}


@pytest.mark.parametrize(
    "change", [{"input": {"n": 2}}, {"function": "whoami"}, {"app": "probe@latest"}, {"worker_id": "wrk_x"}]
)
async def test_a_request_id_with_another_content_is_refused(client: Client, change: dict[str, object]) -> None:
    session = (await client.new()).id
    request: dict[str, object] = {"function": "run", "input": {"n": 1}, "session": session, "request_id": "reused"}
    await client.run(**request)  # type: ignore[arg-type]
    if change == {"app": "probe@latest"}:
        assert (await client.run(**{**request, **change})).output["calls"] == 2  # type: ignore[arg-type]
        return
    error = await failure(client.run(**{**request, **change}))  # type: ignore[arg-type]
    assert (error.code, error.run_state) == ("REQUEST_ID_REUSED", "NOT_STARTED")
    assert error.info.metadata["requestId"] == "reused"


async def test_a_repeat_waits_while_the_first_still_runs(client: Client, gate: Gate) -> None:
    session = (await client.new()).id
    first, again = (
        asyncio.create_task(client.run("hold", {"gate": gate.path}, session=session, request_id="waits"))
        for _ in range(2)
    )
    await gate.arrival()
    gate.open()
    assert (await first).response.call_id == (await again).response.call_id
    assert (await client.get(session)).call_count == 2


async def test_a_call_with_a_request_id_goes_on_without_its_caller_and_the_repeat_gets_the_answer(
    client: Client, gate: Gate
) -> None:
    session = (await client.new()).id
    first = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "w"}, session=session, request_id="r"))
    await gate.arrival()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    again = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "w"}, session=session, request_id="r"))
    gate.open("w")
    assert (await again).output["word"] == "w"
    assert (await client.get(session)).call_count == 2


async def test_the_error_of_a_call_that_ran_is_repeated_without_running_it_again(client: Client) -> None:
    session = (await client.new()).id
    errors = [await failure(client.run("fail", session=session, request_id="fails")) for _ in range(2)]
    assert [(error.code, error.run_state) for error in errors] == [("APP_ERROR", "COMPLETED")] * 2
    assert errors[0].detail == errors[1].detail
    assert (await client.get(session)).call_count == 2


async def test_a_call_that_was_not_started_runs_when_it_is_repeated(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    client = await start_gateway(apps={"other": PROBE})
    error = await failure(client.new(request_id="early"))
    assert (error.code, error.run_state) == ("APP_NOT_FOUND", "NOT_STARTED")
    deploy(PROBE, tmp_path / "data" / "apps", "probe")
    assert (await client.new(request_id="early")).output["calls"] == 1


async def test_a_repeat_after_the_sessions_end_still_gets_the_answer(client: Client) -> None:
    session = (await client.new()).id
    first = await client.run(session=session, request_id="late")
    await client.end(session)
    assert (await client.run(session=session, request_id="late")).output == first.output
    assert (await client.get(session)).status == pb.SESSION_STATUS_ENDED
