"""What a worker wrote before it died is heard, also when the news of its end comes first."""

import asyncio
import socket

import pytest

from gateway.errors import RunState, WorkerExit, WorkerLost
from gateway.model import AppRef
from gateway.workers.base import WorkerCall
from gateway.workers.connection import WorkerConnection
from gateway.workers.frames import encode
from sessiongateway.worker.v1 import worker_pb2 as pb


async def test_an_answer_that_was_written_before_the_end_is_the_answer() -> None:
    failures: list[pb.Failure] = []
    connection = WorkerConnection("wrk_a", AppRef("app", "1"), on_ready=id, on_failed=failures.append, on_broken=str)
    ours, worker = socket.socketpair()
    with worker:
        ours.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
        answered, lost = (connection.start(WorkerCall("run", b"{}", call_id=name)) for name in ("a", "b"))
        worker.send(encode(pb.FromWorker(result=pb.Result(id="a", output=b"{}"))))
        worker.send(encode(pb.FromWorker(failed=pb.Failure(message="no model"))))
        connection.worker_exited(WorkerExit(exit_code=70))  # before the loop has looked at the socket
    assert await answered.reply == b"{}"
    assert [failure.message for failure in failures] == ["no model"]
    with pytest.raises(WorkerLost) as caught:
        await lost.reply
    assert caught.value.run_state is RunState.UNKNOWN
