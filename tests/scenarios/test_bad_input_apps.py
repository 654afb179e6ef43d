"""Apps that misbehave: whoever calls them is told how, and nobody else notices."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import apps_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.process.observe import eventually
from tests.scenarios.client import Answer
from tests.scenarios.failures import refused
from tests.scenarios.witness import APPS, Witness, witness

MEBIBYTE = 1024 * 1024
MISBEHAVES = "misbehaves"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    apps = {directory.name: directory for directory in APPS.iterdir() if (directory / "app.py").exists()}
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), apps, ["--min-idle", "0"]) as process:
        yield process


BROKEN = [
    ("broken_import", "ImportError", "no such library"),
    ("exits_on_import", "ProcessExit", "during the import"),
    ("no_app_class", "AppDefinitionError", "no class App"),
    ("broken_constructor", "OSError", "no device"),
    ("broken_setup", "RuntimeError", "no model"),
    ("exits_in_setup", "ProcessExit", "exit code 42"),
]


@pytest.mark.parametrize(("app", "kind", "text"), BROKEN)
@pytest.mark.parametrize("session", ["", "new"])
async def test_an_app_that_does_not_start_tells_why_and_leaves_nothing(
    gateway: GatewayProcess, app: str, kind: str, text: str, session: str
) -> None:
    async with witness(gateway) as own:
        refusal = await refused(own.run(app, {}, session=session), "APP_START_FAILED", "NOT_STARTED")
        again = await refused(own.run(app, {}, session=session), "APP_START_FAILED", "NOT_STARTED")
    assert refusal.info.metadata["app"] == app
    assert refusal.info.metadata["exceptionType"] == refusal.detail.app_failure.type == kind
    assert text in refusal.detail.app_failure.message
    assert text in refusal.message
    assert again.message == refusal.message


async def test_the_traceback_of_a_failed_start_shows_the_apps_own_lines(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        refusal = await refused(own.run("broken_setup", session="new"), "APP_START_FAILED", "NOT_STARTED")
    traceback = refusal.detail.app_failure.traceback
    assert 'raise RuntimeError("no model")' in traceback
    assert "gateway/worker" not in traceback


async def test_each_of_several_callers_is_told_of_a_failed_start_by_the_id_of_its_own_call(
    gateway: GatewayProcess,
) -> None:
    async with witness(gateway) as own:
        calls = [refused(own.run("broken_import", {}), "APP_START_FAILED", "NOT_STARTED") for _ in range(4)]
        refusals = await asyncio.gather(*calls)
    assert len({refusal.detail.call_id for refusal in refusals}) == 4


async def test_describing_an_app_that_cannot_be_imported_says_so(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        request = apps_pb2.GetAppRequest(app="broken_import")
        await refused(own.client.unary(own.client.apps.GetApp, request), "APP_START_FAILED")


RAISES = [
    ("raises", "ValueError", "xxx"),
    ("raises_unprintable", "Unprintable", ""),
    ("raises_surrogate", "ValueError", "\\ud800"),
    ("raises_deeply", "RecursionError", "maximum recursion depth exceeded"),
    ("raises_interrupt", "KeyboardInterrupt", ""),
]


@pytest.mark.parametrize(("function", "kind", "text"), RAISES)
async def test_what_a_function_raises_is_told_and_its_session_goes_on(
    gateway: GatewayProcess, function: str, kind: str, text: str
) -> None:
    async with witness(gateway) as own:
        opened = await own.open(MISBEHAVES)
        refusal = await refused(own.run(MISBEHAVES, {}, session=opened.id, function=function), "APP_ERROR", "COMPLETED")
        assert refusal.detail.app_failure.type == refusal.info.metadata["exceptionType"] == kind
        assert refusal.detail.app_failure.message == text
        assert refusal.info.metadata["function"] == function
        assert refusal.detail.session_id == opened.id
        assert refusal.end_reason == ""
        await check_goes_on(own, opened, 3)


async def check_goes_on(own: Witness, opened: pb.Session, calls: int) -> None:
    """Assert that a session answers, on its worker, as the so many-th call; then end it."""
    answer = await own.run(MISBEHAVES, {}, session=opened.id)
    assert answer.session.worker_id == opened.worker_id
    ended = await own.client.end(opened.id)
    assert ended.call_count == calls


async def test_an_error_text_of_any_length_fits_into_the_status(gateway: GatewayProcess) -> None:
    async with witness(gateway, MISBEHAVES) as own:
        failing = own.run(MISBEHAVES, {"length": 5 * MEBIBYTE}, function="raises")
        refusal = await refused(failing, "APP_ERROR", "COMPLETED")
    assert refusal.detail.app_failure.message.startswith("xxx")


async def test_a_first_call_that_raises_ends_its_session(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        refusal = await refused(own.run(MISBEHAVES, {}, session="new", function="raises"), "APP_ERROR", "COMPLETED")
        assert refusal.end_reason == "FIRST_CALL_FAILED"
        ended = await own.client.get(refusal.detail.session_id)
        assert (ended.status, ended.call_count) == (pb.SESSION_STATUS_ENDED, 1)


DEATHS = [
    ("exits", {"code": 3}, ("exit_code", 3), "exit code 3"),
    ("exits", {"code": 0}, ("exit_code", 0), "exit code 0"),
    ("exits_at_once", {"code": 255}, ("exit_code", 255), "exit code 255"),
    ("segfaults", {}, ("signal", 11), "signal 11"),
    ("kills_itself", {}, ("signal", 9), "signal 9"),
]


@pytest.mark.parametrize(("function", "input", "how", "text"), DEATHS)
async def test_a_process_that_ends_in_a_call_takes_its_session_with_it(
    gateway: GatewayProcess, function: str, input: dict[str, int], how: tuple[str, int], text: str
) -> None:
    async with witness(gateway) as own:
        opened = await own.open(MISBEHAVES)
        lost = await refused(own.run(MISBEHAVES, input, session=opened.id, function=function), "WORKER_LOST", "UNKNOWN")
        assert dict(lost.info.metadata) == {"workerId": opened.worker_id, "exit": text, "httpStatus": "500"}
        assert lost.end_reason == "WORKER_LOST"
        later = await refused(own.run(MISBEHAVES, {}, session=opened.id), "SESSION_ENDED", "NOT_STARTED")
        assert later.info.metadata["endReason"] == "WORKER_LOST"
        session = await own.client.get(opened.id)
        for exit_ in (lost.detail.worker_exit, later.detail.worker_exit, session.worker_exit):
            assert exit_.WhichOneof("how") == how[0]
            assert getattr(exit_, how[0]) == how[1]
        assert (session.status, session.call_count) == (pb.SESSION_STATUS_ENDED, 2)


@pytest.mark.parametrize("function", ["closes_everything", "closes_connection"])
async def test_an_app_that_closes_the_connection_to_the_gateway_loses_its_worker(
    gateway: GatewayProcess, function: str
) -> None:
    async with witness(gateway) as own:
        opened = await own.open(MISBEHAVES)
        closing = own.run(MISBEHAVES, {}, session=opened.id, function=function)
        lost = await refused(closing, "WORKER_LOST", "UNKNOWN")
        assert lost.end_reason == "WORKER_LOST"


@pytest.mark.parametrize(("function", "input"), [(death[0], death[1]) for death in DEATHS])
async def test_a_first_call_in_which_the_process_ends_says_so(
    gateway: GatewayProcess, function: str, input: dict[str, int]
) -> None:
    async with witness(gateway) as own:
        lost = await refused(own.run(MISBEHAVES, input, session="new", function=function), "WORKER_LOST", "UNKNOWN")
        session = await own.client.get(lost.detail.session_id)
        assert session.status == pb.SESSION_STATUS_ENDED
        assert lost.end_reason == "WORKER_LOST"


@pytest.mark.parametrize("function", ["exits_at_once", "kills_itself"])
async def test_a_plain_call_in_which_the_process_ends_is_lost_and_the_next_one_gets_another(
    gateway: GatewayProcess, function: str
) -> None:
    async with witness(gateway, MISBEHAVES) as own:
        lost = await refused(own.run(MISBEHAVES, {"code": 1}, function=function), "WORKER_LOST", "UNKNOWN")
        assert lost.detail.session_id == ""
        assert Answer(await own.run(MISBEHAVES, {})).output == {"calls": 1}


NOT_AN_ANSWER = [
    ("returns_list", "not list"),
    ("returns_text", "not str"),
    ("returns_nan", "Out of range"),
    ("returns_infinity", "Out of range"),
    ("returns_instance", "App"),
    ("returns_cycle", "Circular"),
    ("returns_deep", "recursion"),
]


@pytest.mark.parametrize(("function", "text"), NOT_AN_ANSWER)
@pytest.mark.parametrize("as_struct", [False, True], ids=["json", "struct"])
async def test_an_answer_that_is_not_a_json_object_is_an_error_of_the_app(
    gateway: GatewayProcess, function: str, text: str, as_struct: bool
) -> None:
    async with witness(gateway) as own:
        opened = await own.open(MISBEHAVES)
        input: dict[str, int] | None = None if as_struct else {}
        failing = own.run(MISBEHAVES, input, session=opened.id, function=function)
        refusal = await refused(failing, "APP_ERROR", "COMPLETED")
        assert refusal.detail.app_failure.type == "TypeError"
        assert text in refusal.detail.app_failure.message
        await check_goes_on(own, opened, 3)


async def test_an_answer_that_is_too_large_is_an_error_of_the_app(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        opened = await own.open(MISBEHAVES)
        fits = await own.run(MISBEHAVES, {"bytes": 3 * MEBIBYTE}, session=opened.id, function="returns_megabytes")
        assert len(Answer(fits).output["text"]) == 3 * MEBIBYTE
        failing = own.run(MISBEHAVES, {"bytes": 5 * MEBIBYTE}, session=opened.id, function="returns_megabytes")
        refusal = await refused(failing, "APP_ERROR", "COMPLETED")
        assert str(4 * MEBIBYTE) in refusal.message
        await check_goes_on(own, opened, 4)


async def test_megabytes_of_output_hold_up_no_call_and_fill_no_log(gateway: GatewayProcess) -> None:
    before = len(gateway.log)
    async with witness(gateway) as own:
        opened = await own.open(MISBEHAVES)
        answer = await own.run(MISBEHAVES, {"bytes": 8 * MEBIBYTE}, session=opened.id, function="prints")
        assert Answer(answer).output == {"calls": 2}
        await check_goes_on(own, opened, 3)
        await eventually("the gateway says what it dropped", lambda: "bytes of output dropped" in gateway.log[before:])
    logged = [line for line in gateway.log[before:].splitlines() if "noisenoise" in line]
    assert 0 < sum(line.count("noise") * 5 for line in logged) < 2 * MEBIBYTE
    assert all(opened.id in line for line in logged)


async def test_a_function_that_raises_does_not_cost_the_shared_worker(gateway: GatewayProcess) -> None:
    async with witness(gateway, MISBEHAVES) as own:
        before = Answer(await own.run(MISBEHAVES, {})).output["calls"]
        await refused(own.run(MISBEHAVES, {}, function="raises"), "APP_ERROR", "COMPLETED")
        # The worker counted the call that failed: it is still the same one.
        assert Answer(await own.run(MISBEHAVES, {})).output["calls"] == before + 2
