"""What is left of a worker on a machine of Ray when it is given up while it starts: nothing, whenever that is."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.model import AppRef, AppVersion
from gateway.testing.waiting import until
from gateway.workers.ray.supervision import Supervision
from gateway.workers.records import app_text

T = TypeVar("T")

APP = """
import pathlib, time
from sessiongateway.app import BaseApp

here = pathlib.Path(__file__).parent
(here / "imported").touch()
while (here / "wait").exists():
    time.sleep(0.01)

class App(BaseApp):
    async def run(self, input: dict) -> dict:
        return input
"""


@pytest.fixture
def app(tmp_path: Path) -> AppVersion:
    (tmp_path / "app.py").write_text(APP)
    return AppVersion(AppRef("slow", "1"), tmp_path)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sgw-", dir="/tmp") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


@contextlib.contextmanager
def supervision(app: AppVersion) -> Iterator[Supervision]:
    spec = {
        "id": "wrk_a",
        "app": app_text(app),
        "owner": "me",
        "key": "00" * 32,
        "start_timeout": 30.0,
        "output_rate": 1000,
        "environment": {},
        "tls": None,
    }
    made = Supervision(spec, "127.0.0.1")
    yield made
    made.close()


async def on(made: Supervision, work: Coroutine[Any, Any, T]) -> T:
    return await asyncio.to_thread(made.run, work)


async def stopped(made: Supervision) -> None:
    async def stop() -> None:
        made.stop(0)

    await on(made, stop())


def left(machine: Path) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in machine.glob("sgw-ray-*/*"))


async def test_one_that_is_given_up_before_its_start_does_not_start(app: AppVersion, machine: Path) -> None:
    with supervision(app) as made:
        await stopped(made)
        assert await on(made, made.start()) == {"interrupted": "given up"}
        await on(made, made.cleared())
        assert left(machine) == []
        assert not (app.directory / "imported").exists()


@pytest.mark.parametrize("when", ["at once", "when its files are there", "while its app is imported"])
async def test_one_that_is_given_up_while_it_starts_leaves_nothing(app: AppVersion, machine: Path, when: str) -> None:
    (app.directory / "wait").touch()
    moments: dict[str, Callable[[], object]] = {
        "at once": lambda: True,
        "when its files are there": lambda: left(machine),
        "while its app is imported": (app.directory / "imported").exists,
    }
    with supervision(app) as made:
        starting = asyncio.ensure_future(on(made, made.start()))
        await asyncio.sleep(0)
        await until(moments[when])
        await stopped(made)
        assert await starting == {"interrupted": "given up"}
        await on(made, made.cleared())
        assert left(machine) == []
        (app.directory / "wait").unlink()


async def test_one_that_has_started_leaves_nothing_when_it_is_stopped(app: AppVersion, machine: Path) -> None:
    with supervision(app) as made:
        answer = await on(made, made.start())
        assert [function["name"] for function in answer["functions"]] == ["run"]
        assert left(machine) == ["lib", "wrk_a", "zyg"]
        await stopped(made)
        await on(made, made.cleared())
        assert left(machine) in (["zyg"], [])
        await until(lambda: left(machine) == [])
        assert (await on(made, made.ended()))["signal"] == 9
