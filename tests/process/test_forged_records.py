"""Records that somebody has changed behind the gateway's back: their session gets errors of ours, and no other."""

import asyncio
from pathlib import Path

from gateway.testing.process import GatewayProcess
from tests.process.observe import wait_for_exit, worker_pid
from tests.process.test_adoption import SEVERAL, forge
from tests.scenarios.client import connected
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}


async def test_a_call_that_cannot_be_given_to_the_worker_gives_its_turn_back(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, SEVERAL) as gateway:
        async with connected(gateway.address) as client:
            session = (await client.new()).id
            forge(data_dir, "UPDATE sessions SET epoch = -1 WHERE id = ?", session)
            for _ in range(2):
                await refused(client.run(session=session), "INTERNAL", "NOT_STARTED")
            forge(data_dir, "UPDATE sessions SET epoch = 1 WHERE id = ?", session)
            assert (await client.run(session=session)).session.call_count == 2


async def test_what_cannot_be_told_of_a_record_is_an_internal_error_with_an_id(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES) as gateway:
        async with connected(gateway.address) as client:
            session = (await client.new()).id
            await client.end(session)
            forge(
                data_dir,
                "UPDATE sessions SET end_reason = 'worker_lost', exit_code = 99999999999 WHERE id = ?",
                session,
            )
            error = await refused(client.run(session=session), "INTERNAL", "NOT_STARTED")
            assert "99999999999" not in error.message
            assert error.detail.error_id


async def test_a_session_whose_record_was_deleted_is_not_found_and_gives_its_worker_back(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, SEVERAL) as gateway:
        async with connected(gateway.address) as client:
            called, idle = await client.new(), await client.new(session_timeout=1)
            pids = [worker_pid(data_dir, each.session.worker_id) for each in (called, idle)]
            for each in (called, idle):
                forge(data_dir, "DELETE FROM sessions WHERE id = ?", each.id)
            await refused(client.run(session=called.id), "SESSION_NOT_FOUND", "NOT_STARTED")
            # Nobody calls the other one: its timer finds out.
            await asyncio.to_thread(wait_for_exit, pids)


async def test_a_record_of_another_worker_names_the_session_in_its_error(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, SEVERAL) as gateway:
        async with connected(gateway.address) as client:
            session = (await client.new()).id
            forge(data_dir, "UPDATE sessions SET worker_id = 'wrk_another' WHERE id = ?", session)
            error = await refused(client.run(session=session), "WORKER_LEASED", "NOT_STARTED")
            assert error.detail.session_id == session
