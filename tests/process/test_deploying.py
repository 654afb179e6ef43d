"""Deploying while the gateway runs: the next call sees it, and what has begun goes on as it was."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from gateway.apps.deploy import deploy
from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import apps_pb2
from tests.scenarios.client import Answer, Client, connected
from tests.scenarios.failures import refused

APP = """
from sessiongateway.app import BaseApp

class App(BaseApp):
    def __init__(self) -> None:
        self.calls = 0

    def run(self) -> dict[str, object]:
        self.calls += 1
        return {"edition": %r, "calls": self.calls}
"""


def edition(directory: Path, name: str) -> Path:
    """Write an app that tells its edition, in place of the one that is there."""
    directory.mkdir(exist_ok=True)
    (directory / "app.py").write_text(APP % name)
    return directory


async def edition_of(client: Client, **fields: str) -> str:
    """Call the app and return the edition that answers."""
    return str((await client.run(**fields)).output["edition"])  # type: ignore[arg-type]


async def test_a_new_version_is_current_at_once_and_sessions_of_the_old_one_go_on(
    data_dir: Path, tmp_path: Path
) -> None:
    source = tmp_path / "app"
    with GatewayProcess(data_dir) as gateway:
        async with connected(gateway.address, app="counter") as client:
            await refused(client.run(), "APP_NOT_FOUND", "NOT_STARTED")
            one = deploy(edition(source, "one"), data_dir / "apps", "counter").ref.version
            assert await edition_of(client) == "one"
            old: Answer = await client.new()
            two = deploy(edition(source, "two"), data_dir / "apps", "counter").ref.version
            assert await edition_of(client) == await edition_of(client, app="counter@latest") == "two"
            assert (await client.new()).session.version == two
            assert await edition_of(client, app=f"counter@{one}") == "one"
            for unpinned in ("counter", "counter@latest", f"counter@{two}"):
                refusal = await refused(client.run(session=old.id, app=unpinned), "VERSION_MISMATCH", "NOT_STARTED")
                assert refusal.detail.session_app.version == refusal.info.metadata["sessionVersion"] == one
                assert refusal.detail.requested_app.version == refusal.info.metadata["requestedVersion"] == two
            pinned = await client.run(session=old.id, app=f"counter@{one}")
            assert pinned.output == {"edition": "one", "calls": 2}
            described = await client.unary(client.apps.GetApp, apps_pb2.GetAppRequest(app=f"counter@{one}"))
            assert (described.app.version, described.app.current_version) == (one, two)
            assert list(described.app.versions) == [two, one]


async def test_deploying_the_first_content_again_makes_it_current_again_and_its_sessions_unpinned_calls_work(
    data_dir: Path, tmp_path: Path
) -> None:
    source = tmp_path / "app"
    with GatewayProcess(data_dir) as gateway:
        async with connected(gateway.address, app="counter") as client:
            one = deploy(edition(source, "one"), data_dir / "apps", "counter").ref.version
            old = await client.new()
            deploy(edition(source, "two"), data_dir / "apps", "counter")
            await refused(client.run(session=old.id), "VERSION_MISMATCH", "NOT_STARTED")
            assert deploy(edition(source, "one"), data_dir / "apps", "counter").ref.version == one
            assert (await client.run(session=old.id)).output == {"edition": "one", "calls": 2}


async def test_a_deployed_version_does_not_change_with_its_source(data_dir: Path, tmp_path: Path) -> None:
    source = tmp_path / "app"
    with GatewayProcess(data_dir) as gateway:
        async with connected(gateway.address, app="counter") as client:
            deploy(edition(source, "one"), data_dir / "apps", "counter")
            edition(source, "edited")
            assert await edition_of(client, session="new") == "one"
            shutil.rmtree(source)
            assert await edition_of(client, session="new") == "one"


async def test_the_command_deploys_to_a_running_gateway(data_dir: Path, tmp_path: Path) -> None:
    source = edition(tmp_path / "counter", "one")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SGW_")}
    with GatewayProcess(data_dir) as gateway:
        command = [sys.executable, "-m", "gateway.cli", "app", "deploy", str(source), "--json"]
        done = subprocess.run(  # noqa: ASYNC221 - nothing else goes on here
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env={**kept, "SGW_DATA_DIR": str(data_dir)},
        )
        assert done.returncode == 0, done.stderr
        async with connected(gateway.address, app="counter") as client:
            answer = await client.new()
        assert answer.session.version in json.dumps(json.loads(done.stdout))
