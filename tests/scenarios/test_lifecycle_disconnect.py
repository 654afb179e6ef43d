"""Callers that go away: while they wait for a worker, in the middle of a call, and on the stream. Nothing is leaked."""

import asyncio
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import DEADLINE, eventually, open_files, worker_directories
from tests.scenarios.client import Answer, CallFailed, Client, connected
from tests.scenarios.conftest import PROBE, new_key
from tests.scenarios.failures import refused

BUF = Path(sys.executable).with_name("buf")
UNKNOWN = "sess_" + "a" * 26


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), {"probe": PROBE}, ["--min-idle", "0"]) as process:
        yield process


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    flags = ["--min-idle", "0", "--max-workers", "1"]
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), {"probe": PROBE}, flags) as process:
        yield process


@pytest.fixture
def key() -> str:
    return new_key()


async def was_taken_in(client: Client) -> None:
    """Return when everything that was sent before on this connection has reached the gateway's handlers."""
    await refused(client.get(UNKNOWN), "SESSION_NOT_FOUND")


async def buf_curl(gateway: GatewayProcess, key: str, method: str, data: str, stdin: int) -> asyncio.subprocess.Process:
    """Start a caller in a process of its own."""
    options = ["--protocol", "grpc", "--http2-prior-knowledge", "--header", f"authorization: Bearer {key}"]
    url = f"http://{gateway.address}/sessiongateway.v1.SessionService/{method}"
    return await asyncio.create_subprocess_exec(
        BUF, "curl", *options, "--data", data, url, stdin=stdin, stdout=asyncio.subprocess.PIPE
    )


async def active(client: Client) -> list[str]:
    """Return the ids of the caller's active sessions."""
    return [session.id for session in (await client.list(status=pb.SESSION_STATUS_ACTIVE)).sessions]


@pytest.mark.parametrize("how", ["the call is cancelled", "the connection is closed", "the deadline passes"])
async def test_one_who_leaves_while_waiting_for_a_worker_takes_none(
    one_worker: GatewayProcess, key: str, how: str
) -> None:
    async with connected(one_worker.address, key) as client, connected(one_worker.address, key) as other:
        holder = await client.new("run")
        deadline = 0.5 if how == "the deadline passes" else 20.0
        leaving = asyncio.create_task(other.new("run", deadline=deadline))
        await asyncio.sleep(0)  # the task begins to send
        await was_taken_in(other)
        waiting = asyncio.create_task(client.new("run"))
        await was_taken_in(client)
        if how == "the connection is closed":
            await other.channel.close()
        elif how == "the call is cancelled":
            leaving.cancel()
        with pytest.raises((CallFailed, asyncio.CancelledError)):
            await leaving
        await client.end(holder.id)
        # Had the one who left been given the only worker, this would wait for it.
        served = await waiting
        assert await active(client) == [served.id]
        assert (await client.end(served.id)).call_count == 1
        await eventually("no worker is leased", lambda: not worker_directories(one_worker.data_dir))


async def test_one_whose_deadline_passes_while_waiting_hears_that_nothing_was_applied(
    one_worker: GatewayProcess, key: str
) -> None:
    async with connected(one_worker.address, key) as client:
        holder = await client.new("run")
        refusal = await refused(client.new("run", deadline=0.3), "NO_WORKER_AVAILABLE", "NOT_STARTED")
        assert refusal.info.metadata["app"] == "probe"
        await client.end(holder.id)


async def test_a_running_call_whose_caller_cancels_is_cancelled_and_its_session_goes_on(
    gateway: GatewayProcess, gate: Gate, key: str
) -> None:
    async with connected(gateway.address, key) as client:
        opened = await client.new("run")
        running = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "one"}, session=opened.id))
        assert await gate.arrival() == "one"
        running.cancel()
        assert await gate.departure() == "one"
        answer = await client.run("run", session=opened.id)
        assert answer.output["calls"] == 3
        assert answer.session.call_count == 3
        await client.end(opened.id)


async def test_a_running_call_whose_connection_is_closed_is_cancelled_and_its_session_goes_on(
    gateway: GatewayProcess, gate: Gate, key: str
) -> None:
    async with connected(gateway.address, key) as client:
        opened = await client.new("run")
        async with connected(gateway.address, key) as leaving:
            running = asyncio.create_task(leaving.run("hold", {"gate": gate.path, "word": "one"}, session=opened.id))
            assert await gate.arrival() == "one"
        assert await gate.departure() == "one"
        with pytest.raises((CallFailed, asyncio.CancelledError)):
            await running
        assert (await client.run("run", session=opened.id)).output["calls"] == 3
        await client.end(opened.id)


async def test_a_caller_whose_process_is_killed_has_its_call_cancelled(
    gateway: GatewayProcess, gate: Gate, key: str
) -> None:
    request = f'{{"app": "probe", "function": "hold", "session": "new", "input": {{"gate": "{gate.path}"}}}}'
    caller = await buf_curl(gateway, key, "Run", request, stdin=asyncio.subprocess.DEVNULL)
    await gate.arrival()
    caller.kill()
    await caller.communicate()
    await gate.departure()
    async with connected(gateway.address, key) as client:
        (session,) = (await client.list()).sessions
        await eventually("its worker is gone", lambda: session.worker_id not in worker_directories(gateway.data_dir))
        ended = await client.get(session.id)
        assert (ended.status, ended.end_reason) == (pb.SESSION_STATUS_ENDED, errors_pb2.END_REASON_FIRST_CALL_FAILED)


async def test_a_first_call_whose_caller_goes_away_leaves_no_session(
    gateway: GatewayProcess, gate: Gate, key: str
) -> None:
    async with connected(gateway.address, key) as client:
        async with connected(gateway.address, key) as leaving:
            running = asyncio.create_task(leaving.new("hold", {"gate": gate.path, "word": "first"}))
            assert await gate.arrival() == "first"
            (opened,) = await active(client)
        assert await gate.departure() == "first"
        with pytest.raises((CallFailed, asyncio.CancelledError)):
            await running
        late = await refused(client.run("run", session=opened), "SESSION_ENDED", "NOT_STARTED")
        assert late.info.metadata["endReason"] == "FIRST_CALL_FAILED"
        worker = (await client.get(opened)).worker_id
        await eventually("its worker is gone", lambda: worker not in worker_directories(gateway.data_dir))


async def test_a_call_with_a_request_id_goes_on_without_its_caller_and_the_repeat_gets_the_answer(
    gateway: GatewayProcess, gate: Gate, key: str
) -> None:
    async with connected(gateway.address, key) as client:
        opened = await client.new("run")
        call = {"gate": gate.path, "word": "once"}
        async with connected(gateway.address, key) as leaving:
            first = asyncio.create_task(leaving.run("hold", call, session=opened.id, request_id="r"))
            assert await gate.arrival() == "once"
        with pytest.raises((CallFailed, asyncio.CancelledError)):
            await first
        repeat = asyncio.create_task(client.run("hold", call, session=opened.id, request_id="r"))
        await was_taken_in(client)
        gate.open("once")
        assert (await repeat).output["word"] == "once"
        assert gate.nobody_came()
        assert (await client.end(opened.id)).call_count == 2


async def test_a_plain_call_whose_caller_goes_away_frees_its_worker(
    gateway: GatewayProcess, gate: Gate, key: str
) -> None:
    async with connected(gateway.address, key) as client:
        for word in ("one", "two", "three"):
            async with connected(gateway.address, key) as leaving:
                running = asyncio.create_task(leaving.run("hold", {"gate": gate.path, "word": word}))
                assert await gate.arrival() == word
            assert await gate.departure() == word
            with pytest.raises((CallFailed, asyncio.CancelledError)):
                await running
        # There are two shared workers at the most: with one of them still taken, three could not have come.
        assert (await client.run("run")).output["calls"] >= 1


async def test_a_plain_function_runs_to_its_end_when_its_caller_goes_away_and_the_next_call_waits_for_it(
    gateway: GatewayProcess, gate: Gate, key: str
) -> None:
    async with connected(gateway.address, key) as client:
        opened = await client.new("run")
        async with connected(gateway.address, key) as leaving:
            blocking = {"gate": gate.path, "word": "blocking"}
            running = asyncio.create_task(leaving.run("hold_blocking", blocking, session=opened.id))
            assert await gate.arrival() == "blocking"
        with pytest.raises((CallFailed, asyncio.CancelledError)):
            await running
        following = asyncio.create_task(client.run("run", session=opened.id))
        await was_taken_in(client)
        assert not following.done()
        gate.open("blocking")
        answer: Answer = await following
        assert answer.session.call_count == 3
        await client.end(opened.id)


async def test_a_caller_that_leaves_the_queue_of_a_session_is_never_run(
    gateway: GatewayProcess, gate: Gate, key: str
) -> None:
    async with connected(gateway.address, key) as client:
        opened = await client.new("run")
        running = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "ahead"}, session=opened.id))
        assert await gate.arrival() == "ahead"
        async with connected(gateway.address, key) as leaving:
            behind = {"gate": gate.path, "word": "behind"}
            queued = asyncio.create_task(leaving.run("hold", behind, session=opened.id))
            await asyncio.sleep(0)  # the task begins to send
            await was_taken_in(leaving)
        with pytest.raises((CallFailed, asyncio.CancelledError)):
            await queued
        async with asyncio.timeout(DEADLINE):
            while (await client.get(opened.id)).call_count > 2:  # the gateway is yet to see that it has left
                pass
        gate.open("ahead")
        assert (await running).output["word"] == "ahead"
        answer = await client.run("run", session=opened.id)
        assert gate.nobody_came()
        assert answer.output["calls"] == answer.session.call_count == 3
        await client.end(opened.id)


@pytest.mark.parametrize("how", ["the stream is cancelled", "the connection is closed", "this side is closed"])
async def test_sessions_on_a_stream_outlive_it(gateway: GatewayProcess, key: str, how: str) -> None:
    async with connected(gateway.address, key) as client:
        sessions = [(await client.new("run")).id for _ in range(3)]
        async with connected(gateway.address, key) as leaving, leaving.keepalive_stream() as stream:
            renewed = await stream.renew(*sessions)
            assert [news.session.id for news in renewed] == sessions
            if how == "this side is closed":
                await stream.done()
                with pytest.raises(EOFError):
                    await stream.receive()
            elif how == "the connection is closed":
                await leaving.channel.close()
        assert sorted(await active(client)) == sorted(sessions)
        for session in sessions:
            assert (await client.run("run", session=session)).output["calls"] == 2
            await client.end(session)


async def test_callers_that_are_killed_in_the_middle_of_a_stream_leave_no_connection_open(
    gateway: GatewayProcess, key: str
) -> None:
    async with connected(gateway.address, key) as client:
        opened = await client.new("run")
        await client.run("run")
        gc.collect()  # gRPC's clients of the tests before this one let go of their connections only now
        before = open_files(gateway.pid)
        for _ in range(5):
            caller = await buf_curl(gateway, key, "StreamKeepalive", "@-", stdin=asyncio.subprocess.PIPE)
            assert caller.stdin is not None
            assert caller.stdout is not None
            caller.stdin.write(f'{{"sessionIds": ["{opened.id}"]}}'.encode())
            assert await caller.stdout.read(1)
            caller.kill()
            await caller.communicate()
            await eventually("the connection is closed", lambda: open_files(gateway.pid) <= before)
        assert (await client.end(opened.id)).call_count == 1
