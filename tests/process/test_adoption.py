"""A gateway takes over what it can be sure of, and a worker that nobody takes over ends itself."""

import asyncio
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import time as wall_clock

import pytest

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from gateway.worker.process import WorkerDirectory
from gateway.workers.runtime import runtime_directory
from sessiongateway.v1 import errors_pb2
from tests.process.observe import eventually, wait_for_exit, worker_directories, worker_pid
from tests.scenarios.client import CallFailed, connected
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

AWARE = Path(__file__).parent.parent / "apps" / "aware"
PROBES = {"probe": PROBE}
SEVERAL = ("--processes", "2")
"""A process that shares its records with others looks at them before a call begins, and so sees what was forged."""


def forge(data_dir: Path, statement: str, *values: object) -> None:
    """Change the record behind the gateway's back."""
    with closing(sqlite3.connect(data_dir / "sessions.db")) as database, database:
        assert database.execute(statement, values).rowcount == 1


async def test_a_record_that_names_another_sessions_worker_gets_that_worker_neither_before_nor_after(
    data_dir: Path,
) -> None:
    with GatewayProcess(data_dir, PROBES, drain="keep") as first:
        async with connected(first.address) as client:
            forged, victim = await client.new("run"), await client.new("remember", {"text": "mine"})
        first.kill()
        forge(data_dir, "UPDATE sessions SET worker_id = ? WHERE id = ?", victim.session.worker_id, forged.id)
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address) as client:
                error = await refused(client.run(session=forged.id), "SESSION_ENDED", "NOT_STARTED")
                assert error.detail.end_reason == errors_pb2.END_REASON_WORKER_LOST
                assert (await client.run("recall", session=victim.id)).output["memory"] == "mine"
                # The worker that lost its record has been ended: nobody could ever use it again.
                assert forged.session.worker_id not in worker_directories(data_dir)


async def test_a_worker_of_another_epoch_is_not_taken_over(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, drain="keep") as first:
        async with connected(first.address) as client:
            session = await client.new("run")
        pid = worker_pid(data_dir, session.session.worker_id)
        first.stop()
        forge(data_dir, "UPDATE sessions SET epoch = epoch - 1 WHERE id = ?", session.id)
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address) as client:
                await refused(client.run(session=session.id), "SESSION_ENDED", "NOT_STARTED")
        await asyncio.to_thread(wait_for_exit, [pid])


@contextmanager
def answering(path: Path, nonsense: bytes) -> Iterator[None]:
    """Be where a worker's socket was: say this to each who connects, and hear them out."""
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        connection.sendall(nonsense)
                        while nonsense and connection.recv(4096):
                            pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x04\xff\xff\xff\xff",
        b"\0\0\0\x0affffff",
        b"",
    ],
    ids=[
        "a length that is none",
        "another protocol",
        "no message",
        "the beginning of no message",
        "an end",
    ],
)
async def test_a_worker_that_answers_an_adoption_with_nonsense_is_ended_and_no_other_suffers(
    data_dir: Path, nonsense: bytes
) -> None:
    with GatewayProcess(data_dir, PROBES, drain="keep") as first:
        async with connected(first.address) as client:
            spoilt, other = await client.new("run"), await client.new("remember", {"text": "mine"})
        pid = worker_pid(data_dir, spoilt.session.worker_id)
        first.stop()
        directory = WorkerDirectory(runtime_directory(data_dir) / spoilt.session.worker_id)
        with answering(directory.socket, nonsense), GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address) as client:
                error = await refused(client.run(session=spoilt.id), "SESSION_ENDED", "NOT_STARTED")
                assert error.detail.end_reason == errors_pb2.END_REASON_WORKER_LOST
                assert (await client.run("recall", session=other.id)).output["memory"] == "mine"
            await asyncio.to_thread(wait_for_exit, [pid])
            assert "Traceback" not in second.log


async def test_a_call_that_ended_while_no_gateway_was_there_has_moved_the_window(data_dir: Path, gate: Gate) -> None:
    with GatewayProcess(data_dir, PROBES, drain="keep") as first:
        async with connected(first.address) as client:
            opened = await client.new("run", session_timeout=2)
            call = {"gate": gate.path, "word": "long"}
            cut = asyncio.create_task(client.run("hold", call, session=opened.id, request_id="r"))
            await gate.arrival()
            first.kill()
            with pytest.raises(CallFailed):
                await cut
        due = opened.session.expires_at.ToMilliseconds() / 1000
        await eventually("the session would be due", lambda: wall_clock() > due)
        gate.open("long")
        await gate.departure()
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address) as client:
                repeat = await client.run("hold", call, session=opened.id, request_id="r")
                assert repeat.output["word"] == "long"


async def test_what_a_shared_worker_has_forked_goes_with_it_when_the_gateway_is_killed(data_dir: Path) -> None:
    with GatewayProcess(data_dir, {"aware": AWARE}, drain="keep") as gateway:
        async with connected(gateway.address, app="aware") as client:
            children = [(await client.run("spawn")).output["pid"] for _ in range(3)]
        gateway.kill()
        await asyncio.to_thread(wait_for_exit, children)


async def test_a_worker_that_no_gateway_comes_back_to_ends_itself(data_dir: Path) -> None:
    patience = {"SGW_WORKERS_ORPHAN_GRACE": "0.2"}
    with GatewayProcess(data_dir, PROBES, drain="keep", environment=patience) as gateway:
        async with connected(gateway.address) as client:
            session = await client.new("run", session_timeout=1)
        pid = worker_pid(data_dir, session.session.worker_id)
        gateway.kill()
        await asyncio.to_thread(wait_for_exit, [pid])


async def test_a_worker_refuses_a_call_under_another_epoch_than_its_own(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, SEVERAL) as gateway:
        async with connected(gateway.address) as client:
            session = await client.new("remember", {"text": "mine"})
            forge(data_dir, "UPDATE sessions SET epoch = epoch + 1 WHERE id = ?", session.id)
            await refused(client.run("remember", {"text": "other"}, session=session.id), "WORKER_LEASED", "NOT_STARTED")
            forge(data_dir, "UPDATE sessions SET epoch = epoch - 1 WHERE id = ?", session.id)
            answer = await client.run("recall", session=session.id)
            assert (answer.output["memory"], answer.session.call_count) == ("mine", 2)


async def test_a_call_whose_record_names_another_worker_goes_to_neither(data_dir: Path) -> None:
    with GatewayProcess(data_dir, PROBES, SEVERAL) as gateway:
        async with connected(gateway.address) as client:
            forged, victim = await client.new("run"), await client.new("remember", {"text": "mine"})
            forge(data_dir, "UPDATE sessions SET worker_id = ? WHERE id = ?", victim.session.worker_id, forged.id)
            error = await refused(client.run("run", session=forged.id), "WORKER_LEASED", "NOT_STARTED")
            assert error.info.metadata["workerId"] == victim.session.worker_id
            assert (await client.run("recall", session=victim.id)).session.call_count == 2
            assert (await client.get(forged.id)).call_count == 1
