"""A gateway process that does not answer: what the others do for its callers, and what becomes of it."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.share import Share
from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from gateway.timing import HANG_COVER, HEARTBEAT
from tests.process.observe import DEADLINE, alive, eventually
from tests.process.scraping import scraped, scraped_when
from tests.rpc.conftest import needs_nghttp2
from tests.scenarios.client import Answer, CallFailed, Client, connected, failure
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}
FLAGS = ("--processes", "2", "--min-idle", "2", "--metrics-address", ":0")
TAKEN = "new connections of gateway process 1 are taken by this one"
KILLED = 5.0
"""Seconds of silence after which a process is killed here, where it is."""


@contextmanager
def serving(data_dir: Path, timeout: float, drain: str = "end") -> Iterator[GatewayProcess]:
    """Run a gateway of two processes."""
    environment = {"SGW_SERVER_HANG_TIMEOUT": str(timeout)}
    with GatewayProcess(data_dir, PROBES, FLAGS, drain, environment) as gateway:
        yield gateway


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process, as a debugger would, until the end of the context."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if alive([pid]):
            os.kill(pid, signal.SIGCONT)


def pid_of(gateway: GatewayProcess, index: int) -> int:
    """Return the gateway process of that number, before any was started again."""
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    return sorted(map(int, children))[index]


def owner(session_id: str) -> int:
    """Return the number of the process that has a session."""
    return Share(0, 2).owner(session_id)


async def of_each(client: Client) -> list[Answer]:
    """Open a session in each process; a request_id draws lots."""
    found: dict[int, Answer] = {}
    async with asyncio.timeout(DEADLINE):
        for number in range(1000):
            opened = await client.new("run", request_id=f"new{number}")
            if found.setdefault(owner(opened.id), opened) is not opened:
                await client.end(opened.id)
            if len(found) == 2:
                break
    return [found[0], found[1]]


async def connection_to(gateway: GatewayProcess, index: int, stack: AsyncExitStack) -> Client:
    """Connect to the process of that number: a session is opened where its caller is connected."""
    async with asyncio.timeout(DEADLINE):
        while True:
            client = await stack.enter_async_context(connected(gateway.address, "owner"))
            opened = await client.new("run")
            await client.end(opened.id)
            if owner(opened.id) == index:
                return client


def said(gateway: GatewayProcess, text: str) -> int:
    """Return how often the log says something of process 1."""
    return gateway.log.count(f"gateway process 1 {text}")


@needs_nghttp2
async def test_new_connections_and_scrapes_do_not_wait_for_a_process_that_hangs(data_dir: Path) -> None:
    with serving(data_dir, 0) as gateway, stopped(pid_of(gateway, 1)):
        async with asyncio.timeout(HANG_COVER + 2 * HEARTBEAT + DEADLINE), AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(gateway.address, "owner")) for _ in range(12)]
            opened = await asyncio.gather(*(client.new("run") for client in clients))
        assert {owner(each.id) for each in opened} == {0}
        await eventually("the log says who takes them", lambda: gateway.log.count(TAKEN) == 1)
        for _ in range(4):
            page = await scraped(gateway)
            assert (page.total("sgw_process_up", process="0"), page.total("sgw_process_up", process="1")) == (1, 0)
            assert page.total("sgw_processes_up") == 1


@needs_nghttp2
async def test_one_that_answers_again_has_lost_nothing_and_is_dealt_connections_as_before(
    data_dir: Path, gate: Gate
) -> None:
    with serving(data_dir, 15) as gateway:
        async with AsyncExitStack() as stack:
            client = await connection_to(gateway, 0, stack)
            _, there = await of_each(client)
            held = {"gate": gate.path, "word": "w"}
            call = asyncio.create_task(client.run("hold", held, session=there.id, deadline=2 * DEADLINE))
            await gate.arrival()
            with stopped(pid_of(gateway, 1)):
                await eventually("it is noticed", lambda: said(gateway, "has not answered for 5 s"))
                assert (await _answer_at_once(client, there.id)).run_state == "NOT_STARTED"
                await refused(client.get(there.id), "GATEWAY_DRAINING")
                gate.open("w")
            await eventually("it answers", lambda: said(gateway, "answers again"))
            assert (await call).output["word"] == "w"
            await eventually("it says so itself", lambda: "the event loop was held up for" in gateway.log)
            page = await scraped_when(gateway, lambda page: page.total("sgw_processes_up") == 2)
            assert page.total("sgw_event_loop_stalls_total", process="1") == 1
            await connection_to(gateway, 1, stack)
            assert (await client.run("run", session=there.id)).output["calls"] == 3
        assert said(gateway, "has not answered") == 1
        assert said(gateway, "ended") == 0


@needs_nghttp2
async def test_one_that_hangs_for_too_long_is_started_again_and_no_session_nor_answer_is_lost(
    data_dir: Path, gate: Gate
) -> None:
    with serving(data_dir, KILLED) as gateway:
        async with AsyncExitStack() as stack:
            client = await connection_to(gateway, 0, stack)
            here, there = await of_each(client)
            held = {"gate": gate.path, "word": "w"}
            cut = asyncio.create_task(client.run("hold", held, session=there.id, request_id="r"))
            await gate.arrival()
            victim = pid_of(gateway, 1)
            with stopped(victim):
                await eventually("it is killed", lambda: not alive([victim]))
            told = await failure(cut)
            assert (told.code, told.run_state) == ("CALL_INTERRUPTED", "UNKNOWN")
            gate.open("w")
            assert (await _persistent(client, "hold", held, there.id, "r")).output["word"] == "w"
            answer = await _persistent(client, "run", {}, there.id, "")
            assert answer.output["calls"] == 3
            assert answer.session.worker_id == there.session.worker_id
            assert (await client.run("run", session=here.id)).output["calls"] == 2
            await connection_to(gateway, 1, stack)
            page = await scraped_when(gateway, lambda page: page.total("sgw_processes_up") == 2)
            assert page.total("sgw_process_up", process="1") == 1
        for text in ("has not answered for 2 s", "has not answered for 5 s and is killed", "ended (-9)"):
            assert said(gateway, text) == 1


async def _answer_at_once(client: Client, session: str) -> CallFailed:
    """Call until the answer is not left to the deadline: the other process has seen by then who hangs."""
    async with asyncio.timeout(DEADLINE):
        while True:
            told = await failure(client.run("run", session=session, deadline=0.5))
            if told.code == "GATEWAY_DRAINING":
                return told


async def _persistent(client: Client, function: str, input: dict[str, str], session: str, request_id: str) -> Answer:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await client.run(function, input, session=session, request_id=request_id)
            except CallFailed as error:
                if error.code != "GATEWAY_DRAINING" or error.run_state != "NOT_STARTED":
                    raise


@needs_nghttp2
async def test_connections_made_to_one_that_has_just_died_are_taken_by_another(data_dir: Path) -> None:
    with serving(data_dir, 30) as gateway:
        victim = pid_of(gateway, 1)
        os.kill(victim, signal.SIGKILL)
        await eventually("it is dead", lambda: not alive([victim]))
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(gateway.address, "owner")) for _ in range(24)]
            assert len(await asyncio.gather(*(client.new("run") for client in clients))) == 24


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_one_that_ended_by_itself_is_dealt_connections_again_and_none_of_them_fails(
    data_dir: Path, number: signal.Signals
) -> None:
    with serving(data_dir, 30) as gateway:
        os.kill(pid_of(gateway, 1), number)
        await eventually("it is started again", lambda: said(gateway, "serves again"))
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(gateway.address, "owner")) for _ in range(24)]
            assert len(await asyncio.gather(*(client.new("run") for client in clients))) == 24
            # The other one may have taken the first of them still.
            await connection_to(gateway, 1, stack)


def test_a_supervisor_that_was_stopped_with_all_the_others_kills_nobody(data_dir: Path) -> None:
    with serving(data_dir, 3) as gateway:
        first, second = pid_of(gateway, 0), pid_of(gateway, 1)
        # The supervisor goes on first, and looks. What is waited for is that it would have been too late.
        with stopped(first), stopped(second), stopped(gateway.pid), pytest.raises(TimeoutError):
            gateway.wait(4.0)
        assert gateway.stop() == 0
        assert "has not answered" not in gateway.log


def test_a_stop_is_not_held_up_for_ever_by_a_process_that_hangs(data_dir: Path) -> None:
    with serving(data_dir, 3, "keep") as gateway, stopped(pid_of(gateway, 1)):
        assert gateway.stop() == 0
        assert "gateway process 1 was killed (-9) while it drained" in gateway.log


async def test_a_gateway_of_one_process_says_that_it_was_held_up(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, ("--min-idle", "0")) as gateway:
        with stopped(gateway.pid), pytest.raises(TimeoutError):
            gateway.wait(1.7)
        await eventually("it says so", lambda: "the event loop was held up for" in gateway.log)
        assert "in which the process used 0.0 s of processor time" in gateway.log


def test_sockets_of_processes_that_were_killed_are_gone_after_the_next_start(data_dir: Path) -> None:
    for processes in ("3", "1"):
        with GatewayProcess(data_dir, PROBES, ("--processes", "3", "--metrics-address", ":0")) as gateway:
            gateway.kill()
            assert len(sockets(data_dir)) == 6
        # The context's end clears all that is left: what follows is about the gateway itself.
        for name in ("peer.0", "peer.7", "peer.7.numbers"):
            (data_dir / "run").mkdir(exist_ok=True)
            (data_dir / "run" / name).touch()
        with GatewayProcess(data_dir, PROBES, ("--processes", processes)) as gateway:
            assert sockets(data_dir) == ({"peer.0", "peer.1", "peer.2"} if processes == "3" else set())
            assert gateway.stop() == 0
        assert not (data_dir / "run").exists()


def sockets(data_dir: Path) -> set[str]:
    """Return the names of the sockets between processes."""
    return {path.name for path in (data_dir / "run").glob("peer.*")}
