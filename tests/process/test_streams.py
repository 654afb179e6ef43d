"""Streams while gateways and workers die or are stopped."""

import os
import signal
from pathlib import Path

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from tests.process.observe import worker_pid
from tests.scenarios.client import connected, failure
from tests.scenarios.conftest import PROBE
from tests.scenarios.failures import refused

PROBES = {"probe": PROBE}


async def test_a_stream_of_a_worker_that_dies_says_so_behind_what_was_yielded(data_dir: Path, gate: Gate) -> None:
    with GatewayProcess(data_dir, PROBES) as process:
        async with connected(process.address) as client:
            session = await client.new()
            stream = client.stream("pause", {"gate": gate.path}, session=session.id)
            assert await stream.receive() == {"at": "gate"}
            await gate.arrival()
            os.kill(worker_pid(data_dir, session.session.worker_id), signal.SIGKILL)
            error = await refused(stream.receive(), "WORKER_LOST", "UNKNOWN")
            assert error.detail.worker_exit.signal == signal.SIGKILL


async def test_a_generator_goes_on_without_the_gateway_that_read_it_and_the_next_one_has_its_result(
    data_dir: Path, tmp_path: Path
) -> None:
    counter = tmp_path / "count"
    flood = {"outputs": 500, "bytes": 64 * 1024, "file": str(counter)}
    with GatewayProcess(data_dir, PROBES, drain="keep") as first:
        async with connected(first.address) as client:
            session = (await client.new()).id
            stream = client.stream("flood", flood, session=session, request_id="flood")
            await stream.receive()
            # Nobody reads on: it stands, as nothing of what it yields has room.
            first.kill()
            assert (await failure(stream.result())).status.name in ("UNAVAILABLE", "CANCELLED")
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address) as client:
                assert (await client.stream("flood", flood, session=session, request_id="flood").result()).output == {}
                assert counter.read_text() == "500"
                assert (await client.run("recall", session=session)).session.call_count == 3


async def test_a_stream_that_runs_when_the_gateway_is_stopped_is_told_that_the_worker_goes_on_with_it(
    data_dir: Path, gate: Gate
) -> None:
    first = GatewayProcess(data_dir, PROBES, ("--drain-grace", "0.2"), drain="keep")
    with first:
        async with connected(first.address) as client:
            session = (await client.new()).id
            stream = client.stream("pause", {"gate": gate.path}, session=session, request_id="pause")
            await stream.receive()
            await gate.arrival()
            first.terminate()
            await refused(stream.receive(), "CALL_INTERRUPTED", "UNKNOWN")
        first.wait()
        with GatewayProcess(data_dir, PROBES) as second:
            async with connected(second.address) as client:
                gate.open("pause")
                answer = await client.stream("pause", {"gate": gate.path}, session=session, request_id="pause").result()
                assert answer.output == {"passed": True}
