"""What callers are told when an app goes beyond the limits of its `app.toml`, and that the neighbours do not notice."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from gateway.timing import CALL_LIMIT_GRACE
from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import (
    alive,
    descendants,
    eventually,
    resident_bytes,
    wait_for_exit,
    worker_directories,
    worker_pid,
)
from tests.process.unruly import ENVIRONMENT, FLAGS, neighbour, unruly
from tests.scenarios.client import Client, connected, failure
from tests.scenarios.conftest import new_key
from tests.scenarios.failures import refused

MIB = 1024 * 1024
CALL = 0.5

LIMITS: dict[str, Any] = {
    "memory": "128MiB",
    "open_files": 64,
    "processes": 10,
    "disk": "4MiB",
    "call": 600,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("gateway")
    apps = {
        "unruly": unruly(home / "unruly", **LIMITS),
        "hasty": unruly(home / "hasty", call=CALL),
    }
    with GatewayProcess(home / "data", apps, FLAGS, environment=ENVIRONMENT) as process:
        yield process


def client_of(gateway: GatewayProcess, app: str = "unruly") -> Any:
    return connected(gateway.address, new_key(), app=app)


@pytest.mark.parametrize(
    ("function", "input", "exception"),
    [
        ("allocate", {"bytes": 200 * MIB}, "MemoryError"),
        ("devour", {}, "MemoryError"),
        ("write", {"files": 1, "bytes": 5 * MIB}, "OSError"),
        ("open", {"files": 100}, "OSError"),
    ],
)
async def test_what_one_process_may_not_take_is_refused_it_and_the_session_lives_on(
    gateway: GatewayProcess, function: str, input: dict[str, Any], exception: str
) -> None:
    async with client_of(gateway) as client:
        session = (await client.new("run")).id
        for _ in range(2):
            error = await refused(client.run(function, input, session=session), "APP_ERROR", "COMPLETED")
            assert error.info.metadata["exceptionType"] == exception
        assert (await client.run("release", session=session)).output["pid"]
        assert (await client.run("run", {"text": "x" * 100_000}, session=session)).output["calls"] == 2
        await client.end(session)


async def test_address_space_that_is_reserved_and_not_used_does_not_count(gateway: GatewayProcess) -> None:
    async with client_of(gateway) as client:
        assert (await client.run("reserve", {"bytes": 10 * 1024 * MIB})).output == {}


async def test_holes_in_files_do_not_count(gateway: GatewayProcess) -> None:
    async with client_of(gateway) as client:
        session = (await client.new("run")).id
        await client.run("write", {"files": 4, "bytes": 200_000}, session=session)
        for name in range(3):
            await client.run("sparse", {"bytes": 3 * MIB, "name": f"hole{name}"}, session=session)
        # Another session, which does exceed the limit, has been ended after both were measured.
        beyond = (await client.new("write", {"files": 30, "bytes": 100_000})).id
        await ended(client, beyond)
        assert (await client.run("run", session=session)).output["calls"] == 2


@pytest.mark.parametrize(
    ("reason", "function", "input"),
    [
        ("MEMORY_LIMIT", "share_out", {"children": 3, "bytes": 60 * MIB}),
        ("PROCESS_LIMIT", "children", {"children": 11}),
        ("DISK_LIMIT", "write", {"files": 500, "bytes": 8000}),
    ],
)
async def test_what_all_of_a_worker_may_not_take_together_ends_its_session_and_no_other(
    gateway: GatewayProcess, gate: Gate, reason: str, function: str, input: dict[str, Any]
) -> None:
    async with client_of(gateway) as client, neighbour(client):
        opened = await client.new("run")
        gone = [(await client.run("exec_away", session=opened.id)).output["pid"]]
        gone.append(worker_pid(gateway.data_dir, opened.session.worker_id))
        going_on = client.run("exceed", {function: input, "gate": gate.path}, session=opened.id)
        running = asyncio.create_task(going_on)
        await gate.arrival()
        queued = asyncio.create_task(client.run("run", session=opened.id))
        later = client.run("run", session=opened.id)
        for answer, state in ((running, "UNKNOWN"), (queued, "NOT_STARTED"), (later, "NOT_STARTED")):
            assert (await refused(answer, "SESSION_ENDED", state)).end_reason == reason
        session = await client.get(opened.id)
        number = errors_pb2.EndReason.Value(f"END_REASON_{reason}")
        assert (session.status, session.end_reason) == (pb.SESSION_STATUS_ENDED, number)
        await asyncio.to_thread(wait_for_exit, gone)
        left = opened.session.worker_id
        await eventually("its directory is gone", lambda: left not in worker_directories(gateway.data_dir))


async def test_a_plain_call_is_told_which_limit_its_worker_exceeded(gateway: GatewayProcess) -> None:
    async with client_of(gateway) as client:
        running = asyncio.create_task(client.run("wait", {"seconds": 600}))
        await client.run("children", {"children": 11})
        others = [asyncio.create_task(client.run("wait", {"seconds": 600}))]
        async with asyncio.timeout(20):
            done, left = await asyncio.wait([running, *others], return_when=asyncio.FIRST_COMPLETED)
        error = await failure(done.pop())
        assert (error.code, error.run_state, error.info.metadata["limit"]) == ("WORKER_LOST", "UNKNOWN", "processes")
        for each in left:
            each.cancel()
        assert (await client.run("run")).output["pid"]


async def test_a_fork_bomb_is_noticed_and_nothing_is_left_of_it(gateway: GatewayProcess) -> None:
    async with client_of(gateway) as client, neighbour(client) as other:
        before = descendants(gateway.pid)
        session = (await client.new("run")).id
        began = time.monotonic()
        error = await failure(client.run("bomb", {"doublings": 9}, session=session))
        assert (error.code, error.end_reason) == ("SESSION_ENDED", "PROCESS_LIMIT")
        assert time.monotonic() - began < 10
        await eventually("all is gone", lambda: not alive(descendants(gateway.pid) - before))
        assert other.answers


async def test_a_call_that_gives_way_in_time_leaves_its_session_as_it_is(gateway: GatewayProcess, gate: Gate) -> None:
    async with client_of(gateway, "hasty") as client:
        session = (await client.new("run")).id
        began = time.monotonic()
        call = client.run("wait", {"seconds": 600, "gate": gate.path}, session=session)
        running = asyncio.create_task(call)
        await gate.arrival()
        # What waits in the queue meanwhile has its own time still before it.
        queued = [asyncio.create_task(client.run("wait", {"seconds": CALL * 0.8}, session=session)) for _ in range(2)]
        error = await refused(running, "CALL_TIMED_OUT", "UNKNOWN")
        assert CALL <= time.monotonic() - began < CALL + CALL_LIMIT_GRACE
        assert (error.info.metadata["function"], error.info.metadata["limit"]) == ("wait", "0.5")
        assert (error.end_reason, error.detail.session_id) == ("", session)
        for answer in queued:
            assert (await answer).output == {"waited": True}
        assert (await client.get(session)).call_count == 4
        assert (await client.run("run", session=session)).output["calls"] == 5
        await client.end(session)


@pytest.mark.parametrize("function", ["sleep", "persist"])
async def test_a_call_that_does_not_give_way_is_the_end_of_its_session(
    gateway: GatewayProcess, gate: Gate, function: str
) -> None:
    async with client_of(gateway, "hasty") as client, neighbour(client):
        opened = await client.new("run")
        running = asyncio.create_task(
            client.run(function, {"seconds": 600, "gate": gate.path}, session=opened.id, request_id="r")
        )
        await gate.arrival()
        queued = asyncio.create_task(client.run("run", session=opened.id))
        error = await refused(running, "CALL_TIMED_OUT", "UNKNOWN")
        assert error.end_reason == "CALL_TIMED_OUT"
        told = re.compile(rf"^.*exceeds limits\.call.*{opened.id}.*$", re.MULTILINE)
        await eventually("the log says so", lambda: told.search(gateway.log) is not None)
        (line,) = told.findall(gateway.log)
        assert f"call_id={error.detail.call_id}" in line
        for answer in (queued, client.run("run", session=opened.id)):
            assert (await refused(answer, "SESSION_ENDED", "NOT_STARTED")).end_reason == "CALL_TIMED_OUT"
        again = client.run(function, {"seconds": 600, "gate": gate.path}, session=opened.id, request_id="r")
        repeated = await refused(again, "CALL_TIMED_OUT", "UNKNOWN")
        assert repeated.message == error.message
        assert gate.nobody_came()


async def test_a_plain_function_that_answers_within_the_grace_is_heard(gateway: GatewayProcess) -> None:
    async with client_of(gateway, "hasty") as client:
        assert (await client.run("sleep", {"seconds": CALL + 0.3})).output == {"slept": True}


@pytest.mark.parametrize("function", ["wait", "sleep"])
async def test_a_first_call_that_takes_too_long_leaves_no_session(gateway: GatewayProcess, function: str) -> None:
    async with client_of(gateway, "hasty") as client:
        error = await refused(client.new(function, {"seconds": 600}), "CALL_TIMED_OUT", "UNKNOWN")
        session = await client.get(error.detail.session_id)
        expected = "FIRST_CALL_FAILED" if function == "wait" else "CALL_TIMED_OUT"
        assert (session.status, error.end_reason) == (pb.SESSION_STATUS_ENDED, expected)


async def test_plain_calls_that_take_too_long_are_told_so(gateway: GatewayProcess) -> None:
    async with client_of(gateway, "hasty") as client:
        calls = [client.run("wait", {"seconds": 600}), client.run("sleep", {"seconds": 600})]
        for call in calls:
            await refused(call, "CALL_TIMED_OUT", "UNKNOWN")
        assert (await client.run("run")).output["pid"]


@pytest.mark.parametrize("function", ["sleep", "persist", "wait"])
async def test_a_call_stays_bounded_when_its_gateway_is_killed(data_dir: Path, gate: Gate, function: str) -> None:
    apps = {"hasty": unruly(data_dir.parent / "app", call=1.5)}
    input = {"seconds": 600, "gate": gate.path}
    with GatewayProcess(data_dir, apps, FLAGS, drain="keep") as gateway:
        async with connected(gateway.address, app="hasty") as client:
            session = (await client.new("run")).id
            running = asyncio.create_task(client.run(function, input, session=session, request_id="r"))
            await gate.arrival()
            await asyncio.to_thread(gateway.kill)
            assert (await failure(running)).code == ""
        gateway.start()
        async with connected(gateway.address, app="hasty") as client:
            repeat = client.run(function, input, session=session, request_id="r")
            if function == "wait":
                assert (await refused(repeat, "CALL_TIMED_OUT", "UNKNOWN")).info.metadata["limit"] == "1.5"
                assert (await client.run("run", session=session)).session.call_count == 3
            else:
                # Which calls run a worker cannot say whose loop is blocked: the repeat is given to it, to no avail.
                state = "NOT_STARTED" if function == "persist" else "UNKNOWN"
                assert (await refused(repeat, "SESSION_ENDED", state)).end_reason == "CALL_TIMED_OUT"
            assert gate.nobody_came()


async def test_an_import_that_takes_too_much_memory_is_told_as_a_start_that_failed(tmp_path: Path) -> None:
    app = unruly(tmp_path / "app", memory="64MiB")
    source = app / "app.py"
    source.write_text(source.read_text() + "\nMODEL = bytearray(100_000_000)\n")
    with GatewayProcess(tmp_path / "data", {"unruly": app}, FLAGS) as gateway:
        async with client_of(gateway) as client:
            error = await refused(client.run("run"), "APP_START_FAILED", "NOT_STARTED")
            assert error.info.metadata["exceptionType"] == "MemoryError"


async def test_memory_that_the_import_filled_is_not_counted_for_each_process(tmp_path: Path, gate: Gate) -> None:
    """A worker and its copy share what their zygote holds with it, and together are within the limit of one."""
    app = unruly(tmp_path / "app", memory="256MiB")
    source = app / "app.py"
    source.write_text(source.read_text() + "\nMODEL = b'x' * 150_000_000\n")
    with GatewayProcess(tmp_path / "data", {"unruly": app}, FLAGS) as gateway:
        async with client_of(gateway) as client:
            opened = await client.new("run")
            assert resident_bytes(worker_pid(gateway.data_dir, opened.session.worker_id)) > 150_000_000
            pid = (await client.run("fork_away", session=opened.id)).output["pid"]
            assert alive([pid])
            # Another session, which does exceed the limit, is ended after both were weighed.
            greedy = (await client.new("run")).id
            input = {"share_out": {"children": 3, "bytes": 90 * MIB}, "gate": gate.path}
            error = await refused(client.run("exceed", input, session=greedy), "SESSION_ENDED", "UNKNOWN")
            assert error.end_reason == "MEMORY_LIMIT"
            assert (await client.run("run", session=opened.id)).output["calls"] == 2


async def ended(client: Client, session: str) -> None:
    """Wait until a session has ended."""
    async with client.keepalive_stream() as stream:
        (first,) = await stream.renew(session)
        if not first.HasField("error"):
            await stream.receive()
