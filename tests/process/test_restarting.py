"""What a gateway takes over from the one before it: live sessions with their workers, and records of all the others."""

import asyncio
import os
import signal
from pathlib import Path
from time import time as wall_clock

import pytest

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import alive, eventually, wait_for_exit, worker_directories, worker_pid
from tests.scenarios.client import CallFailed, Client, connected
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}
UNKNOWN = "sess_" + "a" * 26


async def listed(client: Client, **fields: int) -> list[str]:
    """Return the ids of the caller's sessions."""
    return [session.id for session in (await client.list(**fields)).sessions]


async def test_sessions_and_tombstones_are_there_after_a_restart_each_with_its_reason(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as first:
        async with connected(first.address, "owner") as client:
            expired = await client.new("run", session_timeout=1)
            ended = await client.new("run")
            await client.end(ended.id)
            active = await client.new("run", session_timeout=3600)
            before = await client.get(active.id)
            dead = await client.new("run")
            await refused(client.run("die", {"signal": 9}, session=dead.id), "WORKER_LOST", "UNKNOWN")
            async with client.keepalive_stream() as stream:
                # Not renewed on purpose: the stream tells when it has expired.
                await stream.send(expired.id)
                assert (await stream.receive()).HasField("session")
                assert (await stream.receive()).error.code == errors_pb2.ERROR_CODE_SESSION_EXPIRED
            assert first.stop() == 0
    with GatewayProcess(data_dir, PROBES) as second:
        async with connected(second.address, "owner") as client:
            codes = {
                expired.id: ("SESSION_EXPIRED", "IDLE_TIMEOUT"),
                ended.id: ("SESSION_ENDED", "CALLER"),
                active.id: ("SESSION_ENDED", "GATEWAY_RESTARTED"),
                dead.id: ("SESSION_ENDED", "WORKER_LOST"),
            }
            for session_id, (code, reason) in codes.items():
                refusal = await refused(client.run("run", session=session_id), code, "NOT_STARTED")
                assert refusal.end_reason == reason
                await refused(client.keepalive(session_id), code)
                session = await client.get(session_id)
                assert errors_pb2.EndReason.Name(session.end_reason) == f"END_REASON_{reason}"
                assert await client.end(session_id) == session
            assert await listed(client) == [dead.id, active.id, ended.id, expired.id]
            assert await listed(client, status=pb.SESSION_STATUS_EXPIRED) == [expired.id]
            after = await client.get(active.id)
            assert (after.created_at, after.call_count) == (before.created_at, before.call_count)
            assert after.ended_at.ToDatetime() >= before.created_at.ToDatetime()
            assert (await client.get(dead.id)).worker_exit.signal == 9
            await refused(client.get(UNKNOWN), "SESSION_NOT_FOUND")
        async with connected(second.address, "somebody-else") as other:
            await refused(other.get(active.id), "SESSION_NOT_FOUND")


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_live_sessions_go_on_in_the_next_gateway_with_their_state(data_dir: Path, how: str) -> None:
    with GatewayProcess(data_dir, PROBES, drain="keep") as first:
        async with connected(first.address, "owner") as client:
            opened = await client.new("remember", {"text": "kept"})
            pid = (await client.run("whoami", session=opened.id)).output["pid"]
            before = await client.get(opened.id)
        if how == "stopped":
            assert first.stop() == 0
        else:
            first.kill()
        assert alive([pid])
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address, "owner") as client:
                after = await client.get(opened.id)
                assert (after.status, after.worker_id) == (pb.SESSION_STATUS_ACTIVE, before.worker_id)
                assert (after.created_at, after.call_count) == (before.created_at, 2)
                recalled = await client.run("recall", session=opened.id)
                assert recalled.output == {"memory": "kept", "files": ["kept", "kept"], "database": ["kept"]}
                assert (await client.run("whoami", session=opened.id)).output["pid"] == pid
                assert (await client.new("recall")).output["memory"] is None
                assert (await client.end(opened.id)).call_count == 4
            await asyncio.to_thread(wait_for_exit, [pid])


async def test_a_session_whose_worker_died_with_its_gateway_has_ended_for_that_reason(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as first:
        async with connected(first.address) as client:
            lost, kept = await client.new("run"), await client.new("run")
        worker = worker_pid(data_dir, lost.session.worker_id)
        first.kill()
        os.kill(worker, signal.SIGKILL)
        await asyncio.to_thread(wait_for_exit, [worker])
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address) as client:
                refusal = await refused(client.run("run", session=lost.id), "SESSION_ENDED", "NOT_STARTED")
                assert refusal.info.metadata["endReason"] == "WORKER_LOST"
                assert (await client.run("run", session=kept.id)).output["calls"] == 2
                assert lost.session.worker_id not in worker_directories(data_dir)


async def test_a_call_that_was_in_flight_when_the_gateway_died_runs_once_and_the_repeat_gets_its_answer(
    data_dir: Path, gate: Gate
) -> None:
    with GatewayProcess(data_dir, PROBES) as first:
        async with connected(first.address) as client:
            opened = await client.new("run")
            call = {"gate": gate.path, "word": "once"}
            cut = asyncio.create_task(client.run("hold", call, session=opened.id, request_id="r"))
            assert await gate.arrival() == "once"
            first.kill()
            with pytest.raises(CallFailed):
                await cut
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address) as client:
                repeat = asyncio.create_task(client.run("hold", call, session=opened.id, request_id="r"))
                await refused(client.get(UNKNOWN), "SESSION_NOT_FOUND")  # the repeat was sent before this
                gate.open("once")
                assert (await repeat).output["word"] == "once"
                assert gate.nobody_came()
                assert (await client.end(opened.id)).call_count == 2


async def test_page_tokens_are_good_after_a_restart(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as first:
        async with connected(first.address) as client:
            ids = [(await client.new("run")).id for _ in range(3)]
            page = await client.list(page_size=1)
    with GatewayProcess(data_dir, PROBES) as second:
        async with connected(second.address) as client:
            await client.new("run")
            rest = await client.list(page_token=page.next_page_token)
            assert [session.id for session in (*page.sessions, *rest.sessions)] == ids[::-1]


async def test_a_session_that_was_due_when_the_gateway_was_down_has_expired(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as first:
        async with connected(first.address) as client:
            opened = await client.new("run", session_timeout=1)
            due = opened.session.expires_at.ToMilliseconds() / 1000
            first.kill()
    await eventually("the session is due", lambda: wall_clock() > due)
    with GatewayProcess(data_dir, PROBES) as second:
        async with connected(second.address) as client:
            late = await refused(client.run("run", session=opened.id), "SESSION_EXPIRED", "NOT_STARTED")
            assert late.info.metadata["sessionTimeout"] == "1"
