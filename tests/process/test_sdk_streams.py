"""Streams of the Python SDK whose gateway goes away under them."""

import asyncio
import uuid
from pathlib import Path

import pytest

from gateway.testing.gate import Gate
from gateway.testing.process import GatewayProcess
from sessiongateway import AsyncInference, CallInterruptedError, SessionGatewayError, UnavailableError
from tests.scenarios.conftest import PROBE

PROBES = {"probe": PROBE}


@pytest.mark.parametrize(("how", "error"), [("killed", UnavailableError), ("stopped", CallInterruptedError)])
async def test_the_result_of_a_stream_that_was_cut_off_is_fetched_from_the_next_gateway(
    data_dir: Path, gate: Gate, how: str, error: type[SessionGatewayError]
) -> None:
    with GatewayProcess(data_dir, PROBES, ["--drain-grace", "0.2"], drain="keep") as first:
        async with AsyncInference(address=first.address) as client:
            session = (await client.run(app="probe", session="new")).session_id
            once = {"app": "probe", "function": "pause", "session": session, "input": {"gate": gate.path}}
            once["request_id"] = str(uuid.uuid4())
            stream = client.run_stream(once)
            assert await anext(stream) == {"at": "gate"}
            await gate.arrival()
            if how == "killed":
                first.kill()
            else:
                first.terminate()
            with pytest.raises(error) as caught:
                await anext(stream)
            assert caught.value.run_state == "unknown"
        await asyncio.to_thread(first.wait)
        with GatewayProcess(data_dir, PROBES) as second:
            async with AsyncInference(address=second.address) as client:
                gate.open("pause")
                again = client.run_stream(once)
                assert [output async for output in again] == []
                assert again.result.output == {"passed": True}
                assert again.result.session_id == session
