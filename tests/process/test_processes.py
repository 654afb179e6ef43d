"""Several gateway processes on one port: to a caller they are one gateway."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from gateway.share import Share
from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import apps_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import DEADLINE, descendants, eventually, wait_for_exit, worker_pid
from tests.scenarios.client import Answer, CallFailed, Client, connected, counted, failure
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}
TWO = ("--processes", "2", "--min-idle", "2")


@pytest.fixture
def gateway(data_dir: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(data_dir, PROBES, TWO) as process:
        yield process


def owner(session_id: str, count: int = 2) -> int:
    """Return the number of the process that has a session."""
    return Share(0, count).owner(session_id)


def parent(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def process_of(gateway: GatewayProcess, opened: Answer) -> int:
    """Return the gateway process whose zygote made a session's worker."""
    return parent(parent(worker_pid(gateway.data_dir, opened.session.worker_id)))


@asynccontextmanager
async def at_each(gateway: GatewayProcess, count: int = 2) -> AsyncIterator[Sequence[Client]]:
    """Connect to each process; the client at an index leads to the process of that number."""
    found: dict[int, Client] = {}
    async with AsyncExitStack() as stack:
        while len(found) < count:
            client = await stack.enter_async_context(connected(gateway.address, "owner"))
            opened = await client.new("run")
            found.setdefault(owner(opened.id, count), client)
            await client.end(opened.id)
        yield [found[index] for index in range(count)]


async def persistent(client: Client, session_id: str) -> Answer:
    """Run a call, again for as long as the gateway says that it was not started."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await client.run("run", session=session_id)
            except CallFailed as error:
                if error.code != "GATEWAY_DRAINING" or error.run_state != "NOT_STARTED":
                    raise
                await asyncio.sleep(0)


async def test_any_connection_reaches_any_session_and_only_its_owner_does(gateway: GatewayProcess) -> None:
    async with at_each(gateway) as clients:
        opened = [await client.new("run") for client in clients for _ in range(3)]
        for session in opened:
            for number, client in enumerate(clients, 2):
                assert (await client.run("run", session=session.id)).output["calls"] == number
                assert (await client.get(session.id)).call_count == number
                assert (await client.keepalive(session.id)).call_count == number
                await refused(
                    client.as_caller("other").run("run", session=session.id), "SESSION_NOT_FOUND", "NOT_STARTED"
                )
            listed = {each.id for each in (await clients[0].list(status=pb.SESSION_STATUS_ACTIVE)).sessions}
            assert session.id in listed
        for number, session in enumerate(opened):
            assert (await clients[number % 2].end(session.id)).call_count == 3
            await refused(clients[1 - number % 2].run("run", session=session.id), "SESSION_ENDED", "NOT_STARTED")


async def test_calls_that_come_over_several_connections_run_one_after_another(
    gateway: GatewayProcess, gate: Gate
) -> None:
    async with at_each(gateway) as clients:
        opened = await clients[0].new("run")
        calls = []
        for number in range(4):
            input = {"gate": gate.path, "word": str(number)}
            calls.append(asyncio.create_task(clients[number % 2].run("hold", input, session=opened.id)))
            await counted(clients[0], opened.id, number + 2)
        for number in range(4):
            assert await gate.arrival() == str(number)
            assert gate.nobody_came()
            gate.open(str(number))
        assert [(await call).output["word"] for call in calls] == ["0", "1", "2", "3"]


async def test_a_keepalive_stream_renews_and_tells_of_sessions_of_every_process_in_the_order_asked(
    gateway: GatewayProcess,
) -> None:
    async with at_each(gateway) as clients, clients[0].keepalive_stream() as stream:
        ids = [(await clients[number % 2].new("run")).id for number in range(6)]
        assert {owner(session_id) for session_id in ids} == {0, 1}
        asked = [*ids, "nonsense", "sess_unknown", *ids]
        assert [answer.session_id for answer in await stream.renew(*asked)] == asked
        for session_id in ids:
            await clients[1].end(session_id)
            news = await stream.receive()
            assert (news.session_id, news.HasField("error")) == (session_id, True)
        await stream.done()


async def test_a_watch_at_any_process_sees_what_happens_in_all_of_them_in_one_order(gateway: GatewayProcess) -> None:
    async with at_each(gateway) as clients, clients[0].watch() as first, clients[1].watch() as second:
        for watch in (first, second):
            assert (await watch.receive()).event == pb.SessionEvent.Value("SESSION_EVENT_WATCHING")
        ids = [(await clients[number % 2].new("run")).id for number in range(4)]
        for session_id in ids:
            await clients[0].end(session_id)
        seen = await first.events(8)
        assert seen == await second.events(8)
        assert {session_id for _, session_id in seen} == set(ids)


async def test_a_call_whose_caller_leaves_is_cancelled_in_the_process_of_its_session(
    gateway: GatewayProcess, gate: Gate
) -> None:
    async with at_each(gateway) as clients:
        opened = await clients[1].new("run")
        call = asyncio.create_task(clients[0].run("hold", {"gate": gate.path, "word": "left"}, session=opened.id))
        await gate.arrival()
        call.cancel()
        assert await gate.departure() == "left"
        assert (await clients[0].run("run", session=opened.id)).output["calls"] == 3


async def test_a_deadline_holds_for_a_call_that_another_process_runs(gateway: GatewayProcess, gate: Gate) -> None:
    async with at_each(gateway) as clients:
        opened = await clients[1].new("run")
        holding = asyncio.create_task(clients[0].run("hold", {"gate": gate.path}, session=opened.id))
        await gate.arrival()
        await refused(clients[0].run("run", session=opened.id, deadline=0.5), "SESSION_BUSY", "NOT_STARTED")
        gate.open()
        await holding


@pytest.mark.parametrize("kind", ["plain", "new", "session"])
async def test_a_repeat_over_another_connection_gets_the_first_answer(gateway: GatewayProcess, kind: str) -> None:
    async with at_each(gateway) as clients:
        session = {"plain": "", "new": "new"}.get(kind) if kind != "session" else (await clients[0].new("run")).id
        for number in range(6):
            answers = [
                await client.run("run", {"n": number}, session=session or "", request_id=f"r{number}")
                for client in clients
            ]
            assert answers[0].output == answers[1].output
            assert answers[0].response.call_id == answers[1].response.call_id


async def test_partial_outputs_come_from_another_process_in_their_order(gateway: GatewayProcess) -> None:
    async with at_each(gateway) as clients:
        opened = await clients[1].new("run")
        parts = await clients[0].stream("count", {"steps": 5}, session=opened.id).rest()
        here = await clients[1].stream("count", {"steps": 5}, session=opened.id).rest()
    assert len(parts) > 1
    assert [part for part in parts if isinstance(part, dict)] == [part for part in here if isinstance(part, dict)]


async def test_what_an_app_has_ready_in_every_process_is_shown_and_can_be_leased(gateway: GatewayProcess) -> None:
    async with at_each(gateway) as clients:
        request = apps_pb2.GetAppRequest(app="probe")
        ready: set[str] = set()
        async with asyncio.timeout(DEADLINE):
            while {owner(worker_id) for worker_id in ready} != {0, 1}:
                ready = set((await clients[0].unary(clients[0].apps.GetApp, request)).app.idle_worker_ids)
        for worker_id in ready:
            opened = await clients[0].new("run", worker_id=worker_id)
            assert opened.session.worker_id == worker_id
            assert owner(opened.id) == owner(worker_id)


async def test_the_limit_of_workers_is_for_all_processes_and_room_goes_where_callers_wait(data_dir: Path) -> None:
    flags = ("--processes", "2", "--max-workers", "3", "--min-idle", "0")
    with GatewayProcess(data_dir, PROBES, flags) as gateway:
        async with at_each(gateway) as clients:
            opened = [await clients[0].new("run") for _ in range(3)]
            for client in clients:
                await refused(client.new("run", deadline=1.0), "NO_WORKER_AVAILABLE", "NOT_STARTED")
            for client in clients:
                waiting = asyncio.create_task(client.new("run", deadline=20.0))
                await clients[0].end(opened.pop(0).id)
                opened.append(await waiting)
            for client in clients:
                await refused(client.new("run", deadline=1.0), "NO_WORKER_AVAILABLE", "NOT_STARTED")


async def test_a_process_that_dies_interrupts_its_calls_and_loses_no_session(
    gateway: GatewayProcess, gate: Gate
) -> None:
    async with at_each(gateway) as clients:
        kept = await clients[0].new("run")
        opened = await clients[1].new("run")
        input = {"gate": gate.path, "word": "w"}
        cut = asyncio.create_task(clients[0].run("hold", input, session=opened.id, request_id="r"))
        await gate.arrival()
        victim = process_of(gateway, opened)
        assert victim != process_of(gateway, kept)
        os.kill(victim, signal.SIGKILL)
        told = await failure(cut)
        assert (told.code, told.run_state) == ("CALL_INTERRUPTED", "UNKNOWN")
        assert (told.info.metadata["sessionId"], told.detail.session_id) == (opened.id, opened.id)
        assert (await clients[0].run("run", session=kept.id)).output["calls"] == 2
        repeat = asyncio.create_task(_repeated(clients[0], opened.id, input))
        gate.open("w")
        assert (await repeat).output["word"] == "w"
        assert (await persistent(clients[0], opened.id)).output["calls"] == 3
        assert "is started again" in gateway.log


async def _repeated(client: Client, session_id: str, input: dict[str, str]) -> Answer:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await client.run("hold", input, session=session_id, request_id="r")
            except CallFailed as error:
                if error.code != "GATEWAY_DRAINING" or error.run_state != "NOT_STARTED":
                    raise


async def test_under_load_a_process_that_is_killed_costs_no_call_without_a_word(gateway: GatewayProcess) -> None:
    async with at_each(gateway) as clients:
        opened = [await clients[number % 2].new("run") for number in range(6)]
        ids = [each.id for each in opened]
        stop, ran, unknown = asyncio.Event(), dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)

        async def use(session_id: str) -> None:
            while not stop.is_set():
                try:
                    await clients[0].run("run", session=session_id)
                    ran[session_id] += 1
                except CallFailed as error:
                    if error.run_state == "UNKNOWN":
                        unknown[session_id] += 1
                    elif error.code != "GATEWAY_DRAINING":
                        raise

        callers = [asyncio.create_task(use(each.id)) for each in opened]
        victim = process_of(gateway, next(each for each in opened if owner(each.id) == 1))
        await eventually("all sessions are called", lambda: min(ran.values()) > 20)
        os.kill(victim, signal.SIGKILL)
        before = dict(ran)
        await eventually("all sessions are called again", lambda: all(ran[each] > before[each] + 20 for each in ran))
        stop.set()
        await asyncio.gather(*callers)
        for each in opened:
            calls = (await persistent(clients[0], each.id)).output["calls"]
            assert ran[each.id] + 2 <= calls <= ran[each.id] + 2 + unknown[each.id]
        assert sum(unknown.values()) <= len(opened)


@pytest.mark.parametrize("count", [1, 3])
async def test_sessions_are_there_after_a_restart_with_another_number_of_processes(data_dir: Path, count: int) -> None:
    with GatewayProcess(data_dir, PROBES, TWO, drain="keep") as first:
        async with connected(first.address, "owner") as client:
            opened = [await client.new("remember", {"text": str(number)}) for number in range(8)]
        assert first.stop() == 0
        with GatewayProcess(data_dir, PROBES, ("--processes", str(count))) as second:
            async with connected(second.address, "owner") as client:
                for number, session in enumerate(opened):
                    assert (await client.run("recall", session=session.id)).output["memory"] == str(number)
                    assert (await client.get(session.id)).worker_id == session.session.worker_id
            assert second.stop() == 0


async def test_a_stop_waits_for_a_call_that_another_process_runs(data_dir: Path, gate: Gate) -> None:
    with GatewayProcess(data_dir, PROBES, TWO, drain="keep") as gateway:
        async with at_each(gateway) as clients:
            opened = await clients[1].new("run")
            call = asyncio.create_task(clients[0].run("hold", {"gate": gate.path, "word": "w"}, session=opened.id))
            await gate.arrival()
            gateway.terminate()
            await eventually("both drain", lambda: gateway.log.count("draining") == 2)
            gate.open("w")
            assert (await call).output["word"] == "w"
            assert gateway.wait() == 0


async def test_a_stop_ends_the_sessions_of_a_process_that_has_just_died_too(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, TWO, drain="end") as gateway:
        async with at_each(gateway) as clients:
            opened = [await client.new("run") for client in clients]
            workers = [worker_pid(data_dir, each.session.worker_id) for each in opened]
            os.kill(process_of(gateway, opened[1]), signal.SIGKILL)
            assert await asyncio.to_thread(gateway.stop) == 0
    wait_for_exit(workers)
    assert not (data_dir / "run").exists()
    with closing(sqlite3.connect(data_dir / "sessions.db")) as db:
        ends = db.execute("SELECT end_reason FROM sessions WHERE id IN (?, ?)", [each.id for each in opened]).fetchall()
    assert ends == [("gateway_restarted",)] * 2


def test_no_process_outlives_a_supervisor_that_is_killed(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, TWO) as gateway:
        processes = descendants(gateway.pid)
        gateway.kill()
        wait_for_exit(processes)
        gateway.start()
        assert gateway.stop() == 0


def test_neither_the_directory_nor_the_port_is_shared_with_another_gateway(data_dir: Path, tmp_path: Path) -> None:
    with GatewayProcess(data_dir, PROBES, TWO) as gateway:
        with pytest.raises(RuntimeError, match="in use by another gateway"):
            GatewayProcess(data_dir, PROBES, TWO).start()
        for flags in (TWO, ()):
            other = GatewayProcess(tmp_path / "data", PROBES, (*flags, "--listen", gateway.address))
            with pytest.raises(RuntimeError, match="cannot listen"):
                other.start()


def test_a_gateway_that_cannot_start_says_why_once(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as refusal:
        GatewayProcess(data_dir, {"none": tmp_path / "none"}, TWO).start()
    assert str(refusal.value).count("sgw serve: ") == 1


def test_a_process_ends_with_the_others_after_a_stop_and_leaves_nothing(gateway: GatewayProcess) -> None:
    processes = descendants(gateway.pid)
    assert gateway.stop() == 0
    wait_for_exit(processes)
    assert not (gateway.data_dir / "run").exists()
