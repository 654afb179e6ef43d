"""What a scrape says after things have happened to a real gateway."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import connect

import pytest

from gateway.exposition.families import FAMILIES
from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from gateway.worker.process import WorkerDirectory, start_time
from gateway.workers.runtime import runtime_directory
from tests.process.observe import DEADLINE, kill_worker, wait_for_exit
from tests.process.scraping import AT, scraped, scraped_when
from tests.process.trouble import locked
from tests.scenarios.client import connected
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}
SCRAPED = ("--metrics-address", "127.0.0.1:0", "--min-idle", "0")


@pytest.fixture
def gateway(data_dir: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(data_dir, PROBES, SCRAPED) as process:
        yield process


async def test_calls_are_counted_by_app_code_and_how_far_they_came(gateway: GatewayProcess) -> None:
    async with connected(gateway.address) as client:
        opened = await client.new("run")
        for _ in range(4):
            await client.run("run", session=opened.id)
        await client.run("run")
        await client.stream("count", {"steps": 3}).result()
        await refused(client.run("fail", session=opened.id), "APP_ERROR", "COMPLETED")
        await refused(client.run("no_such", session=opened.id), "FUNCTION_NOT_FOUND", "NOT_STARTED")
        await refused(client.run(session="sess_unknown"), "SESSION_NOT_FOUND", "NOT_STARTED")
        await refused(client.run(session_timeout=0, session="new"), "INVALID_REQUEST", "NOT_STARTED")
    page = await scraped(gateway)
    assert page.total("sgw_calls_total", app="probe", code="OK", phase="worker") == 7
    assert page.total("sgw_calls_total", app="probe", code="APP_ERROR", phase="worker") == 1
    assert page.total("sgw_calls_total", app="probe", code="FUNCTION_NOT_FOUND", phase="queue") == 1
    assert page.total("sgw_calls_total", app="probe", code="SESSION_NOT_FOUND", phase="queue") == 1
    assert page.total("sgw_calls_total") == 10
    assert page.total("sgw_call_duration_seconds_count", app="probe", phase="queue") == 10
    assert page.total("sgw_call_duration_seconds_count", app="probe", phase="worker") == 8
    assert page.total("sgw_call_duration_seconds_bucket", app="probe", phase="worker", le="+Inf") == 8
    assert 0 < page.total("sgw_call_duration_seconds_sum", app="probe", phase="worker") < DEADLINE
    assert page.total("sgw_rpc_errors_total", method="Run", code="INVALID_REQUEST") == 1
    assert page.total("sgw_rpc_errors_total") == 4
    assert page.total("sgw_store_operation_seconds_count", operation="admit") == 5
    assert page.total("sgw_store_operation_seconds_count", operation="create") == 1


async def test_names_that_callers_make_up_do_not_become_labels(gateway: GatewayProcess) -> None:
    async with connected(gateway.address) as client:
        opened = await client.new("run")
        for number in range(5):
            await refused(client.run(app=f"made/up{number}"), "APP_NOT_FOUND", "NOT_STARTED")
            await refused(client.run(app=f"made/up{number}", session=opened.id), "APP_MISMATCH", "NOT_STARTED")
    page = await scraped(gateway)
    assert page.labels("sgw_calls_total", "app") == {"probe", "other"}
    assert page.total("sgw_calls_total", app="other") == 10
    assert opened.id not in page.text


async def test_calls_and_sessions_of_this_moment_are_there(gateway: GatewayProcess, gate: Gate) -> None:
    async with connected(gateway.address) as client:
        opened, _ = await client.new("run"), await client.new("run")
        call = asyncio.create_task(client.run("hold", {"gate": gate.path, "word": "in"}, session=opened.id))
        await gate.arrival()
        page = await scraped(gateway)
        assert page.total("sgw_calls_in_flight") == 1
        assert (page.total("sgw_sessions", state="busy"), page.total("sgw_sessions", state="idle")) == (1, 1)
        assert page.total("sgw_workers", state="leased") == 2
        assert (
            page.total("sgw_app_sessions", app="probe", state="busy")
            == page.total("sgw_app_sessions", state="idle")
            == 1
        )
        assert page.total("sgw_app_workers", app="probe", state="leased") == 2
        assert page.total("sgw_worker_wait_seconds_count") == 2
        call.cancel()
        page = await scraped_when(gateway, lambda page: page.total("sgw_calls_total", code="CANCELLED"))
        assert page.total("sgw_calls_total", app="probe", code="CANCELLED", phase="worker") == 1
        await client.end(opened.id)
    page = await scraped_when(gateway, lambda page: page.total("sgw_workers", state="leased") == 1)
    assert [page.total("sgw_app_sessions", app="probe", state=state) for state in ("busy", "idle")] == [0, 1]
    assert page.total("sgw_sessions_started_total") == 2
    assert page.total("sgw_sessions_finished_total", status="ended", reason="caller") == 1
    assert page.total("sgw_sessions_finished_total") == 1


async def test_a_session_that_expires_is_counted_with_how_late_it_was(gateway: GatewayProcess) -> None:
    async with connected(gateway.address) as client:
        await client.new("run", session_timeout=1)
    page = await scraped_when(gateway, lambda page: page.total("sgw_sessions_finished_total"))
    assert page.total("sgw_sessions_finished_total", status="expired", reason="idle_timeout") == 1
    assert page.total("sgw_session_expiry_lateness_seconds_count") == 1
    assert 0 < page.total("sgw_session_expiry_lateness_seconds_sum") < DEADLINE
    assert page.total("sgw_worker_deaths_total") == 0


async def test_workers_that_die_are_counted_by_what_they_died_of(gateway: GatewayProcess) -> None:
    async with connected(gateway.address) as client:
        killed = await client.new("run")
        kill_worker(gateway.data_dir, killed.session.worker_id)
        for input in ({"code": 7}, {"signal": int(signal.SIGABRT)}):
            opened = await client.new("run")
            await refused(client.run("die", input, session=opened.id), "WORKER_LOST", "UNKNOWN")
        ended = await client.new("run")
        await client.end(ended.id)
    page = await scraped_when(gateway, lambda page: page.total("sgw_worker_deaths_total") == 3)
    for reason in ("SIGKILL", "exit", "SIGABRT"):
        assert page.total("sgw_worker_deaths_total", reason=reason) == 1
    assert page.total("sgw_sessions_finished_total", reason="worker_lost") == 3


async def test_who_waits_for_a_worker_in_vain_is_seen_waiting_and_counted_as_refused(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, (*SCRAPED, "--max-workers", "1")) as gateway:
        async with connected(gateway.address) as client:
            await client.new("run")
            waits = asyncio.create_task(refused(client.new(deadline=3.0), "NO_WORKER_AVAILABLE", "NOT_STARTED"))
            page = await scraped_when(gateway, lambda page: page.total("sgw_worker_waiters"))
            assert page.total("sgw_worker_waiters") == page.total("sgw_workers_limit") == 1
            assert page.total("sgw_app_worker_waiters", app="probe") == 1
            await waits
        page = await scraped(gateway)
        assert page.total("sgw_worker_waiters") == 0
        assert page.total("sgw_worker_wait_seconds_count") == 2
        assert page.total("sgw_worker_wait_seconds_sum") > 0.5
        assert page.total("sgw_calls_total", code="NO_WORKER_AVAILABLE", phase="queue") == 1


async def test_a_store_that_fails_is_seen_while_it_does_and_counted(gateway: GatewayProcess) -> None:
    assert (await scraped(gateway)).total("sgw_store_available") == 1
    async with connected(gateway.address) as client:
        opened = await client.new("run")
        with locked(gateway.data_dir / "sessions.db"):
            await refused(client.keepalive(opened.id), "STORE_UNAVAILABLE")
            await refused(client.run(session=opened.id), "STORE_UNAVAILABLE", "NOT_STARTED")
            page = await scraped(gateway)
            assert (page.total("sgw_store_available"), page.total("sgw_serving")) == (0, 0)
        page = await scraped_when(gateway, lambda page: page.total("sgw_store_available"))
        assert page.total("sgw_store_failures_total", problem="busy") == 1
        assert page.total("sgw_calls_total", code="STORE_UNAVAILABLE") == 1
        await client.run(session=opened.id)


async def test_workers_that_nobody_knows_of_are_orphans(gateway: GatewayProcess) -> None:
    with stranger(gateway):
        assert (await scraped(gateway)).total("sgw_orphan_workers") == 1
    assert (await scraped(gateway)).total("sgw_orphan_workers") == 0


@contextmanager
def stranger(gateway: GatewayProcess) -> Iterator[None]:
    """Have a process that looks like a worker of the gateway."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        try:
            directory = WorkerDirectory(runtime_directory(gateway.data_dir) / "wrk_0123456789abcdef")
            directory.root.mkdir()
            directory.pid.write_text(f"{process.pid} {start_time(process.pid)}")
            yield
        finally:
            process.kill()


async def test_a_gateway_that_starts_counts_what_it_takes_over_and_what_it_has_to_end(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, SCRAPED, drain="keep") as first:
        async with connected(first.address) as client:
            _, stray = [await client.new("run") for _ in range(2)]
        first.stop()
        with closing(connect(data_dir / "sessions.db")) as database, database:
            database.execute("DELETE FROM sessions WHERE id = ?", (stray.id,))
        with GatewayProcess(data_dir, PROBES, SCRAPED) as second:
            page = await scraped(second)
            assert page.total("sgw_sessions_adopted_total") == page.total("sgw_sessions") == 1
            assert page.total("sgw_stray_workers_total") == 1
            second.kill()  # and at the end of the block all its workers are
        with GatewayProcess(data_dir, PROBES, SCRAPED) as third:
            page = await scraped(third)
            assert page.total("sgw_sessions_finished_total", reason="worker_lost") == 1
            assert page.total("sgw_sessions_adopted_total") == 0


async def test_a_page_has_every_metric_and_no_other(gateway: GatewayProcess) -> None:
    page = await scraped(gateway)
    described = {name.removesuffix("_total") if of.kind == "counter" else name for name, of in FAMILIES.items()}
    assert set(page.families) == described
    for name, family in FAMILIES.items():
        found = page.families[name.removesuffix("_total") if family.kind == "counter" else name]
        assert (found.type, found.documentation) == (family.kind, family.help)
    assert page.total("sgw_build_info", version="0.1.0") == 1
    assert page.total("process_resident_memory_bytes") > 1e6


async def test_without_an_address_nothing_is_served(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, ["--min-idle", "0"]) as gateway:
        async with connected(gateway.address) as client:
            await client.new("run")
        assert AT not in gateway.log


async def test_a_port_that_is_taken_is_said_at_the_start(gateway: GatewayProcess, data_dir: Path) -> None:
    taken = gateway.log.partition(AT + "http://")[2].partition("/")[0]
    for processes in ("1", "2"):
        flags = ("--metrics-address", taken, "--processes", processes)
        with pytest.raises(RuntimeError, match=taken), GatewayProcess(data_dir.with_name("other"), PROBES, flags):
            pass


async def test_several_processes_show_all_their_numbers_on_one_page(data_dir: Path) -> None:
    flags = ("--metrics-address", "127.0.0.1:0", "--min-idle", "0", "--processes", "2")
    with GatewayProcess(data_dir, PROBES, flags) as gateway:
        opened = []
        for _ in range(12):
            async with connected(gateway.address) as client:
                opened.append(await client.new("run"))
        for _ in range(4):  # whichever process answers
            page = await scraped(gateway)
            assert page.total("sgw_calls_total", code="OK") == page.total("sgw_sessions") == 12
            assert page.labels("sgw_sessions", "process") == {"0", "1"}
            assert page.total("sgw_processes") == page.total("sgw_processes_up") == 2
            assert page.total("sgw_orphan_workers") == 0
        before = {each: page.total("sgw_calls_total", process=each) for each in ("0", "1")}
        victim = gateway_process(gateway, 0)
        os.kill(victim, signal.SIGKILL)
        wait_for_exit([victim])
        page = await scraped_when(gateway, lambda page: page.total("sgw_processes_up") == 2)
        # It counts from 0 again, which is a series of its own; that of the other one goes on.
        assert page.total("sgw_calls_total", process="0") == 0
        assert page.total("sgw_calls_total", process="1") == before["1"]
        assert page.total("sgw_sessions") == 12
        assert page.total("sgw_worker_deaths_total") == 0


def gateway_process(gateway: GatewayProcess, index: int) -> int:
    """Return the process id of one of several gateway processes, which are forked in order."""
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    return int(children[index])
