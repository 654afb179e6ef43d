"""Workers that are users of their own, or in a sandbox, live and end as others do; and who gets which profile."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.process import GatewayProcess
from gateway.testing.waiting import until
from gateway.worker.sandbox import FILES_IN_MEMORY
from sessiongateway import AppStartFailedError, Inference, SessionEndedError, WorkerLostError
from tests.process.observe import (
    DEADLINE,
    alive,
    descendants,
    started_as,
    wait_for_exit,
    worker_directories,
    worker_pid,
)
from tests.process.ordinary import lacking
from tests.process.promises import Column

CONTAINED = Path(__file__).parent.parent / "apps" / "contained"
AS_ROOT = os.getuid() == 0

COLUMNS = [Column("user", root=True), Column("sandbox", root=AS_ROOT)]


@pytest.fixture(params=COLUMNS, ids=lambda column: column.profile)
def profile(request: pytest.FixtureRequest) -> str:
    column: Column = request.param
    if problem := lacking(column):
        pytest.skip(problem)
    return column.profile


def served(data_dir: Path, profile: str, drain: str = "end", **more: str) -> GatewayProcess:
    """Return a gateway, not yet started, with the app `contained`."""
    environment = {"SGW_WORKERS_ISOLATION": profile, "SGW_WORKERS_MIN_IDLE": "0", "SGW_WORKERS_ORPHAN_GRACE": "0"}
    return GatewayProcess(data_dir, {"contained": CONTAINED}, drain=drain, environment={**environment, **more})


@pytest.fixture
def app(data_dir: Path) -> Path:
    """A copy of the app, to which an app.toml may be added."""
    data_dir.parent.chmod(0o755)
    return Path(shutil.copytree(CONTAINED, data_dir.parent / "contained"))


def opened(client: Inference, function: str = "run", **more: Any) -> Any:
    return client.run({"app": "contained", "function": function, "session": "new", **more})


def called(client: Inference, session: str, function: str = "run", **input: Any) -> dict[str, Any]:
    request = {"app": "contained", "function": function, "session": session, "input": input}
    return dict(client.run(request).output)


async def test_a_session_outlives_its_gateway_and_ends_with_all_that_is_its(data_dir: Path, profile: str) -> None:
    with served(data_dir, profile, drain="keep") as first:
        with Inference(address=first.address) as client:
            session = opened(client)
            worker = worker_pid(data_dir, session.session.worker_id)
            pids = [worker, *descendants(worker)]
        first.kill()
        with served(data_dir, profile) as second, Inference(address=second.address) as client:
            assert called(client, session.session_id)["calls"] == 2
            assert alive(pids) == set(pids)
            another = opened(client)
            assert called(client, another.session_id)["user"] != called(client, session.session_id)["user"] or (
                profile == "sandbox" and not AS_ROOT
            )
            client.sessions.end(session.session_id)
            await asyncio.to_thread(wait_for_exit, pids)
    assert not worker_directories(data_dir)


async def test_a_worker_that_never_looks_up_ends_without_a_gateway(data_dir: Path, profile: str) -> None:
    with served(data_dir, profile, drain="keep") as gateway, Inference(address=gateway.address) as client:
        session = opened(client, session_timeout=1)
        worker = worker_pid(data_dir, session.session.worker_id)
        pids = [worker, *descendants(worker)]
        blocked = asyncio.create_task(asyncio.to_thread(called, client, session.session_id, "block"))
        blocks = runtime_work(data_dir, session) / "blocks"
        await until(blocks.exists, DEADLINE)
        gateway.kill()
        await asyncio.to_thread(wait_for_exit, pids, 30.0)
        await asyncio.gather(blocked, return_exceptions=True)


def runtime_work(data_dir: Path, session: Any) -> Path:
    return data_dir / "run" / str(session.session.worker_id) / "work"


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
async def test_what_an_import_leaves_running_goes_with_the_gateway_however_that_ends(
    data_dir: Path, app: Path, profile: str, start_method: str
) -> None:
    called = f"hidden-{uuid.uuid4().hex}"
    (app / "app.toml").write_text(f'start_method = "{start_method}"')
    daemon = f'\nif os.fork() == 0:\n    os.setsid()\n    os.execv("/bin/sleep", ["{called}", "600"])\n'
    with (app / "app.py").open("a") as source:
        source.write(daemon)
    environment = {"SGW_WORKERS_ISOLATION": profile, "SGW_WORKERS_MIN_IDLE": "0"}
    for end in (GatewayProcess.kill, GatewayProcess.stop):
        with GatewayProcess(data_dir, {"contained": app}, environment=environment) as gateway:
            with Inference(address=gateway.address) as client:
                client.sessions.end(opened(client).session_id)
            await until(lambda: not worker_directories(data_dir), DEADLINE)
            end(gateway)
            await until(lambda: not started_as(called), DEADLINE)


def test_a_worker_that_is_killed_is_lost_by_that_signal(data_dir: Path, profile: str) -> None:
    with served(data_dir, profile) as gateway, Inference(address=gateway.address) as client:
        session = opened(client).session_id
        with pytest.raises(WorkerLostError) as lost:
            called(client, session, "die", signal=int(signal.SIGSEGV))
        assert lost.value.metadata["exit"] == "signal 11"
        session = opened(client).session_id
        with pytest.raises(WorkerLostError) as lost:
            called(client, session, "leave", code=7)
        assert lost.value.metadata["exit"] == "exit code 7"


def test_limits_hold_for_a_worker_that_is_contained(data_dir: Path, app: Path, profile: str) -> None:
    (app / "app.toml").write_text('[limits]\nmemory = "128MiB"\nprocesses = 2\n')
    environment = {"SGW_WORKERS_ISOLATION": profile}
    with (
        GatewayProcess(data_dir, {"contained": app}, environment=environment) as gateway,
        Inference(address=gateway.address) as client,
    ):
        session = opened(client).session_id
        assert called(client, session, "children", count=2) == {"started": 2}
        with pytest.raises(SessionEndedError) as ended:
            called(client, session, "children", count=1)
            called(client, session, "block")
        assert ended.value.end_reason == "process_limit"


def test_a_sandbox_has_little_room_for_files_in_memory(data_dir: Path, profile: str) -> None:
    if profile != "sandbox":
        pytest.skip("only a sandbox has files in memory of its own")
    with served(data_dir, profile) as gateway, Inference(address=gateway.address) as client:
        session = opened(client).session_id
        for directory, room, error in (
            ("/tmp", FILES_IN_MEMORY, "ENOSPC"),
            ("/dev/shm", FILES_IN_MEMORY, "ENOSPC"),
            ("/dev", 0, "EROFS"),
            ("/", 0, "EROFS"),
        ):
            found = called(client, session, "fill", directory=directory, bytes=2 * FILES_IN_MEMORY)
            assert found == {"written": room, "error": error}, directory


def test_an_app_gets_what_it_asks_for_and_no_less_than_the_setting(data_dir: Path, app: Path, profile: str) -> None:
    weaker = shutil.copytree(app, app.parent / "weaker")
    (weaker / "app.toml").write_text('isolation = "process"')
    (app / "app.toml").write_text(f'isolation = "{profile}"')
    for setting, path in (("process", app), (profile, weaker)):
        environment = {"SGW_WORKERS_ISOLATION": setting}
        with (
            GatewayProcess(data_dir, {"contained": path}, environment=environment) as gateway,
            Inference(address=gateway.address) as client,
        ):
            output = opened(client, "run").output
            assert output["alone"] is (profile == "sandbox")
            assert output["user"] != 0


def test_a_profile_that_the_machine_cannot_give_is_refused_with_the_reason_and_what_to_do(
    data_dir: Path, app: Path, profile: str
) -> None:
    (app / "app.toml").write_text(f'isolation = "{profile}"')
    with (
        GatewayProcess(data_dir, {"contained": app}, environment={"PATH": "/nowhere"}) as gateway,
        Inference(address=gateway.address) as client,
        pytest.raises(AppStartFailedError) as refused,
    ):
        opened(client)
    assert refused.value.metadata["exceptionType"] == "IsolationUnavailable"
    assert "no bwrap. Install bubblewrap" in str(refused.value)


def test_what_the_machine_cannot_give_is_logged_once_however_often_it_is_asked_for(data_dir: Path, app: Path) -> None:
    (app / "app.toml").write_text('isolation = "sandbox"\nmin_idle = 3')
    with (
        GatewayProcess(data_dir, {"contained": app}, environment={"PATH": "/nowhere"}) as gateway,
        Inference(address=gateway.address) as client,
    ):
        for _ in range(3):
            with pytest.raises(AppStartFailedError):
                opened(client)
        # Besides the line of each call that failed, which has its id.
        told = [line for line in gateway.log.splitlines() if "is not to be had here" in line and "call_id" not in line]
        assert len(told) == 1


@pytest.mark.skipif(not AS_ROOT, reason="the tests do not run as root")
def test_by_itself_a_gateway_of_root_gives_its_workers_users_or_says_why_it_cannot(data_dir: Path) -> None:
    if problem := lacking(COLUMNS[0]):
        pytest.skip(problem)
    with served(data_dir, "auto") as gateway, Inference(address=gateway.address) as client:
        assert opened(client).output["user"] != 0
    with served(data_dir, "auto", PATH="/nowhere") as gateway, Inference(address=gateway.address) as client:
        assert opened(client).output["user"] == 0
        assert "runs as root, and so can do anything" in gateway.log


def test_deploying_an_app_says_that_its_profile_is_not_to_be_had(data_dir: Path, app: Path) -> None:
    (app / "app.toml").write_text('isolation = "sandbox"')
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "app", "deploy", str(app), "--data-dir", str(data_dir)],
        env={**os.environ, "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "no bwrap. Install bubblewrap" in done.stderr
    assert not (data_dir / "apps").exists() or not list((data_dir / "apps").iterdir()), json.dumps(done.stderr)
