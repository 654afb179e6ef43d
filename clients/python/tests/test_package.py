"""What the package offers, and what importing it costs."""

import asyncio
import importlib.resources
import json
import subprocess
import sys

import pytest

import sessiongateway
from sessiongateway import AsyncInference
from sessiongateway.v1 import sessions_pb2
from tests.sdk.scripted import ScriptedGateway

ERRORS = {
    "AppError",
    "AppMismatchError",
    "AppNotFoundError",
    "AppStartFailedError",
    "CallCountMismatchError",
    "CallInterruptedError",
    "CallTimedOutError",
    "DeadlineExceededError",
    "FunctionNotFoundError",
    "GatewayDrainingError",
    "InternalError",
    "InvalidInputError",
    "InvalidRequestError",
    "NoWorkerAvailableError",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RequestIdReusedError",
    "SessionBusyError",
    "SessionEndedError",
    "SessionExpiredError",
    "SessionGatewayError",
    "SessionNotFoundError",
    "StoreUnavailableError",
    "UnauthenticatedError",
    "UnavailableError",
    "VersionMismatchError",
    "VersionNotFoundError",
    "WorkerLeasedError",
    "WorkerLostError",
    "WorkerNotFoundError",
}
OTHERS = {
    "AppInfo",
    "AsyncInference",
    "AsyncKeepaliveStream",
    "AsyncRunStream",
    "AsyncSession",
    "AsyncWatchStream",
    "FunctionInfo",
    "Inference",
    "KeepaliveEvent",
    "KeepaliveStream",
    "Pacing",
    "TLS",
    "RunResult",
    "RunStream",
    "Session",
    "SessionInfo",
    "WatchEvent",
    "WatchStream",
}


def modules_after(statement: str) -> list[str]:
    """Return what a fresh interpreter has loaded because of a statement."""
    code = (
        "import sys, json; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    modules: list[str] = json.loads(done.stdout)
    return modules


def test_these_names_are_exported_and_no_others() -> None:
    assert set(sessiongateway.__all__) == ERRORS | OTHERS
    assert set(sessiongateway.__all__) <= set(dir(sessiongateway))


@pytest.mark.parametrize("name", sorted(ERRORS | OTHERS))
def test_every_exported_name_can_be_loaded(name: str) -> None:
    value = getattr(sessiongateway, name)
    assert isinstance(value, type)
    assert value.__name__ == name
    assert issubclass(value, sessiongateway.SessionGatewayError) == (name in ERRORS)


def test_errors_are_shown_under_the_name_that_people_import() -> None:
    assert sessiongateway.SessionExpiredError.__module__ == "sessiongateway"


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'sessiongateway' has no attribute 'Inferense'"):
        _ = sessiongateway.Inferense


@pytest.mark.parametrize(
    "statement",
    ["import sessiongateway", "import sessiongateway.app", "from sessiongateway import SessionExpiredError"],
)
def test_importing_loads_neither_grpc_nor_protobuf(statement: str) -> None:
    loaded = modules_after(statement)
    assert "sessiongateway" in loaded
    assert [name for name in loaded if name.split(".")[0] in ("grpc", "google")] == []


def test_importing_the_package_loads_nothing_but_itself_and_importlib() -> None:
    foreign = [name for name in modules_after("import sessiongateway") if name.split(".")[0] != "sessiongateway"]
    assert len(foreign) < 12, foreign
    assert "asyncio" not in foreign


def test_type_checkers_are_told_that_the_package_has_types() -> None:
    assert importlib.resources.files("sessiongateway").joinpath("py.typed").is_file()


def test_an_async_client_can_be_made_before_there_is_a_loop_and_outlive_one(gateway: ScriptedGateway) -> None:
    gateway.answer("Run", sessions_pb2.RunResponse(call_id="c"))
    client = AsyncInference(address=gateway.address)

    async def run() -> str:
        return (await client.run({"app": "kv"})).call_id

    async def close() -> None:
        await client.close()

    assert [asyncio.run(run()), asyncio.run(run())] == ["c", "c"]
    asyncio.run(close())


async def test_an_async_client_in_use_on_one_loop_refuses_another(
    gateway: ScriptedGateway, async_client: AsyncInference
) -> None:
    gateway.answer("Run", sessions_pb2.RunResponse())
    await async_client.run({"app": "kv"})

    async def run() -> None:
        await async_client.run({"app": "kv"})

    def elsewhere() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(run())

    await asyncio.to_thread(elsewhere)
