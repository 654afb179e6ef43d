"""What the log says of calls: which call each line is about, and nothing of what was sent."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from tests.process.collector import collecting_http
from tests.process.observe import eventually
from tests.process.test_tracing import TRANSPORTS
from tests.scenarios.client import Client, connected, failure
from tests.scenarios.conftest import PROBE

APPS = Path(__file__).parent.parent / "apps"
TRACED = {"traced": APPS / "traced"}
JSON = ("--log-format", "json", "--min-idle", "0")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")


def lines(gateway: GatewayProcess, text: str) -> list[dict[str, Any]]:
    """Return the entries of the log with a text in them."""
    entries = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
    return [entry for entry in entries if text in entry["message"]]


async def said(gateway: GatewayProcess, client: Client, word: str, **fields: Any) -> tuple[str, list[dict[str, Any]]]:
    """Return the id of a call that prints, and what the log has of it."""
    answer = await client.run("say", {"word": word}, **fields)
    await eventually("all lines", lambda: len(lines(gateway, word)) == 5)
    return answer.response.call_id, lines(gateway, word)


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
async def test_lines_that_a_call_prints_have_its_id_and_its_trace(
    data_dir: Path, tmp_path: Path, start_method: str
) -> None:
    app = tmp_path / "traced"
    app.mkdir()
    (app / "app.py").write_bytes((TRACED["traced"] / "app.py").read_bytes())
    (app / "app.toml").write_text(f'start_method = "{start_method}"\n')
    with GatewayProcess(data_dir, {"traced": app}, JSON) as gateway:
        async with connected(gateway.address, app="traced") as client:
            opened = await client.new()
            client.metadata = (PARENT,)
            first, found = await said(gateway, client, "red", session=opened.id)
            client.metadata = ()
            second, again = await said(gateway, client, "blue", session=opened.id)
    by_text = {entry["message"]: entry for entry in found}
    theirs = by_text.pop("by a process red")
    assert set(by_text) == {"printed red", "in two lines red", "in pieces red", "logged red"}
    for entry in by_text.values():
        assert (entry["call_id"], entry["trace_id"], entry["session_id"]) == (first, TRACE, opened.id)
    # Nobody can tell for which call it was started.
    assert "call_id" not in theirs
    assert theirs["session_id"] == opened.id
    assert {entry.get("call_id") for entry in again} == {second, None}
    assert not any("trace_id" in entry for entry in again)


async def test_of_calls_at_the_same_time_each_line_has_its_own(data_dir: Path, tmp_path: Path, gate: Gate) -> None:
    app = tmp_path / "traced"
    app.mkdir()
    (app / "app.py").write_bytes((TRACED["traced"] / "app.py").read_bytes())
    (app / "app.toml").write_text("concurrency = 2\n")
    with GatewayProcess(data_dir, {"traced": app}, JSON) as gateway:
        async with connected(gateway.address, app="traced") as client:
            opened = await client.new()
            words = ("red", "blue")
            calls = [
                asyncio.create_task(client.run("hold", {"gate": gate.path, "word": word}, session=opened.id))
                for word in words
            ]
            for _ in words:
                await gate.arrival()
            for word in words:
                gate.open(word)
            ids = [(await call).response.call_id for call in calls]
            await eventually("all lines", lambda: len(lines(gateway, "after ")) == 2)
            for word, call_id in zip(words, ids, strict=True):
                assert [entry["call_id"] for entry in lines(gateway, word)] == [call_id, call_id]


async def test_what_a_call_leaves_behind_prints_with_its_id(data_dir: Path, gate: Gate) -> None:
    with GatewayProcess(data_dir, TRACED, JSON) as gateway:
        async with connected(gateway.address, app="traced") as client:
            opened = await client.new()
            promised = await client.run("promise", {"gate": gate.path}, session=opened.id)
            await gate.arrival()
            await client.run(session=opened.id)
            gate.open("later")
            await eventually("the line", lambda: lines(gateway, "later"))
        assert [entry["call_id"] for entry in lines(gateway, "later")] == [promised.response.call_id]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_at_debug_level_the_log_has_nothing_of_inputs_outputs_and_keys(data_dir: Path, transport: str) -> None:
    flags = ("--log-level", "debug", "--min-idle", "0")
    async with collecting_http() as collected:
        environment = {"SGW_TRACING_ENDPOINT": collected.endpoint, "SGW_SERVER_TRANSPORT": transport}
        with GatewayProcess(data_dir, {"probe": PROBE}, flags, environment=environment) as gateway:
            async with connected(gateway.address, key="KEYSECRET") as client:
                client.metadata += (PARENT, ("tracestate", "a=STATESECRET"), ("baggage", "a=BAGSECRET"))  # type: ignore[assignment]
                session_id = await calls_with_secrets(client)
            await asyncio.to_thread(gateway.stop)
    assert "DEBUG" in gateway.log
    assert session_id in gateway.log
    assert "SECRET" not in gateway.log
    assert collected.spans
    # What they have of a caller is the tracestate, which is for collectors.
    assert "SECRET" not in str(collected.spans).replace("STATESECRET", "").replace("NAMESECRET", "")


async def calls_with_secrets(client: Client) -> str:
    """Make calls that end in every way, and return the session's id."""
    secret = {"text": "INSECRET", "number": "NUMBERSECRET"}
    opened = await client.new("run", secret)
    await client.run("remember", secret, session=opened.id, request_id="REQUESTSECRET")
    assert "INSECRET" in str((await client.run("recall", session=opened.id)).output)
    await client.run("run", secret)
    await client.stream("count", {"steps": 2, **secret}, session=opened.id).result()
    assert (await failure(client.run("typed", secret, session=opened.id))).code == "INVALID_INPUT"
    assert (await failure(client.run("NAMESECRET", secret, session=opened.id))).code == "FUNCTION_NOT_FOUND"
    assert (await failure(client.run("die", {"code": 3, **secret}, session=opened.id))).code == "WORKER_LOST"
    return opened.id


async def test_the_number_of_a_gateway_process_is_a_number(data_dir: Path) -> None:
    with GatewayProcess(data_dir, TRACED, (*JSON, "--processes", "2")) as gateway:
        assert {entry.get("process") for entry in lines(gateway, "")} == {0, 1}


async def test_one_session_is_adopted_as_one(data_dir: Path) -> None:
    with GatewayProcess(data_dir, TRACED, JSON, drain="keep") as first:
        async with connected(first.address, app="traced") as client:
            await client.new()
        first.stop()
        with GatewayProcess(data_dir, TRACED, JSON) as second:
            assert lines(second, "1 session adopted, 0 lost")
