"""The synchronous client waits like any other function, and leaves nothing behind."""

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sessiongateway import Inference, SessionGatewayError
from sessiongateway._portal import Portal
from sessiongateway.v1 import sessions_pb2
from tests.sdk.scripted import WAIT, ScriptedGateway


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, also where the test run itself was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def portal_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sessiongateway"]


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that must end by itself, and show what it printed."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments]
    environment = {**os.environ, "GRPC_VERBOSITY": "NONE"}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_cancels_the_run_and_reaches_the_caller(gateway: ScriptedGateway, client: Inference) -> None:
    begun, cancelled = gateway.hang("Run")
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        begun.wait(WAIT)
        signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        client.run({"app": "kv"})
    interrupter.join()
    assert cancelled.wait(WAIT)
    gateway.answer("Run", sessions_pb2.RunResponse(call_id="next"))
    assert client.run({"app": "kv"}).call_id == "next"


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_in_a_session_block_ends_the_session(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.answer("Run", sessions_pb2.RunResponse(session_id="sess_1"))
    gateway.answer("EndSession", sessions_pb2.EndSessionResponse())
    with pytest.raises(KeyboardInterrupt), client.session("kv") as session:
        session.call({})
        signal.raise_signal(signal.SIGINT)
    assert [request.session_id for request in gateway.received["EndSession"]] == ["sess_1"]


def test_clients_share_one_thread_which_ends_with_the_last_of_them(gateway: ScriptedGateway) -> None:
    first, second = Inference(address=gateway.address), Inference(address=gateway.address)
    assert len(portal_threads()) == 1
    first.close()
    first.close()
    assert len(portal_threads()) == 1
    gateway.answer("Run", sessions_pb2.RunResponse(call_id="c"))
    assert second.run({"app": "kv"}).call_id == "c"
    second.close()
    assert portal_threads() == []


def test_a_closed_client_refuses_requests_whether_others_are_open_or_not(gateway: ScriptedGateway) -> None:
    with Inference(address=gateway.address):
        client = Inference(address=gateway.address)
        client.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            client.run({"app": "kv"})
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.sessions.get("sess_1")
    assert gateway.received == {}


def test_closing_in_one_thread_cuts_off_a_run_in_another(gateway: ScriptedGateway) -> None:
    begun, cancelled = gateway.hang("Run")
    client = Inference(address=gateway.address)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            client.run({"app": "kv"})
        except (SessionGatewayError, RuntimeError) as error:
            raised.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    assert begun.wait(WAIT)
    client.close()
    runner.join(WAIT)
    assert not runner.is_alive()
    assert len(raised) == 1
    assert cancelled.wait(WAIT)
    assert portal_threads() == []


def test_a_client_that_nobody_closed_ends_its_thread_when_it_is_collected(gateway: ScriptedGateway) -> None:
    gateway.answer("Run", sessions_pb2.RunResponse())
    client = Inference(address=gateway.address)
    client.run({"app": "kv"})
    (thread,) = portal_threads()
    del client
    gc.collect()
    thread.join(WAIT)
    assert not thread.is_alive()


@pytest.mark.parametrize("ending", ["client.close()", "del client", ""])
def test_a_program_ends_cleanly_however_it_treats_its_client(gateway: ScriptedGateway, ending: str) -> None:
    gateway.answer("Run", sessions_pb2.RunResponse(output_json=b'{"a":1}'))
    code = f"""
        import sys
        from sessiongateway import Inference
        client = Inference(address=sys.argv[1])
        print(client.run({{"app": "kv"}}).output)
        {ending}
    """
    done = python(code, gateway.address)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{'a': 1}\n", "")


def test_a_program_that_is_interrupted_ends_like_any_other(gateway: ScriptedGateway) -> None:
    begun, cancelled = gateway.hang("Run")
    code = """
        import signal, sys
        from sessiongateway import Inference
        signal.signal(signal.SIGINT, signal.default_int_handler)
        Inference(address=sys.argv[1]).run({"app": "kv"})
    """
    command = [sys.executable, "-c", textwrap.dedent(code), gateway.address]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        assert begun.wait(WAIT)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=WAIT)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert cancelled.wait(WAIT)


def test_closing_leaves_no_thread_of_grpc_either(gateway: ScriptedGateway) -> None:
    gateway.answer("Run", sessions_pb2.RunResponse())
    code = """
        import gc, sys, threading
        from sessiongateway import Inference
        for _ in range(3):
            with Inference(address=sys.argv[1]) as client:
                client.run({"app": "kv"})
        del client
        gc.collect()
        for thread in threading.enumerate():  # one that has been told to end needs a moment for it
            if thread is not threading.main_thread():
                thread.join(10)
        print([thread.name for thread in threading.enumerate()])
    """
    done = python(code, gateway.address)
    assert (done.stdout, done.stderr) == ("['MainThread']\n", "")


def test_a_client_from_before_a_fork_says_so_in_the_child() -> None:
    # In a program of its own: pytest's process has threads, and its children must not run on.
    code = """
        import os, warnings
        warnings.simplefilter("ignore")
        from sessiongateway import Inference
        client = Inference(address="127.0.0.1:1")
        if (child := os.fork()) == 0:
            try:
                client.run({"app": "kv"})
            except RuntimeError as error:
                print(error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        client.close()
    """
    assert python(code).stdout == "this client was made before a fork; make a new one in the child\n"


def test_errors_on_the_clients_loop_are_logged_except_for_the_noise_of_grpc(caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: Exception) -> None:
        raise error

    async def provoke() -> None:

        loop = asyncio.get_running_loop()
        loop.call_soon(fail, BlockingIOError(11, "noise"))
        loop.call_soon(fail, KeyError("news"))
        await asyncio.sleep(0)

    portal = Portal.acquire()
    with caplog.at_level(logging.ERROR):
        portal.wait(provoke())
    portal.release()
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [KeyError]


def test_a_run_works_inside_of_a_running_event_loop(gateway: ScriptedGateway, client: Inference) -> None:
    # As in a notebook, whose cells run on a loop.

    gateway.answer("Run", sessions_pb2.RunResponse(call_id="c"))

    async def cell() -> Any:
        return client.run({"app": "kv"})

    assert asyncio.run(cell()).call_id == "c"
