"""What `[ray]` of an app.toml asks for is what its workers get: packages, the app's own files, a place."""

import asyncio
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import AppStartFailed
from gateway.model import AppVersion, Placement
from gateway.testing.pool_harness import MakeApp, PoolFixtures, lease
from gateway.testing.waiting import DEADLINE, until
from gateway.workers.ray.pool import RayPool
from tests.ray.conftest import RayCluster, StartRayPool

PATIENCE = 10_000.0
"""Virtual seconds: nobody is to lose patience while Ray makes an environment."""

SOURCE = """
import os, sys
from pathlib import Path
from sessiongateway.app import BaseApp

{import}

class App(BaseApp):
    def run(self):
        beside = Path(__file__).parent
        files = sorted(str(path.relative_to(beside)) for path in beside.rglob("*") if path.is_file())
        words = (beside / "words" / "greeting.txt").read_text() if "words/greeting.txt" in files else ""
        return {"files": files, "words": words, "beside": str(beside), "pid": os.getpid(), "python": sys.executable}

    def said(self):
        return {"said": sgw_parcel.WORD}

    def devices(self):
        return {"devices": os.environ.get("CUDA_VISIBLE_DEVICES")}
"""


def wheel(directory: Path) -> Path:
    """Write a package that no environment has, as pip takes it, and return its path."""
    directory.mkdir()
    path = directory / "sgw_parcel-1.0-py3-none-any.whl"
    about = "sgw_parcel-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sgw_parcel.py", "WORD = 'unpacked'\n")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: sgw-parcel\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


def source(import_: str = "") -> str:
    return SOURCE.replace("{import}", import_)


def placed(app: AppVersion, **fields: object) -> AppVersion:
    """Return the app as one of which Ray is told so."""
    return replace(app, ray=Placement(**fields))  # type: ignore[arg-type]  # whichever it is


class TestPlacing(PoolFixtures):
    async def test_packages_of_an_app_are_there_for_its_workers_and_for_nobody_else(
        self, start_pool: StartRayPool, make_app: MakeApp, tmp_path: Path
    ) -> None:
        pool = await start_pool()
        app = make_app(source("import sgw_parcel"), "parcel")
        with pytest.raises(AppStartFailed, match="sgw_parcel"):
            await lease(pool, app)
        packed = placed(app, pip=[str(wheel(tmp_path / "wheels"))], resources={"place1": 1})
        leased = await lease(pool, replace(packed, ref=replace(app.ref, version="2")), timeout=PATIENCE)
        assert await leased.call("said") == {"said": "unpacked"}

    async def test_packages_that_cannot_be_had_are_a_fault_of_the_app_and_the_reason_is_told(
        self, start_pool: StartRayPool, make_app: MakeApp, tmp_path: Path
    ) -> None:
        pool = await start_pool()
        missing = tmp_path / "sgw_nowhere-1.0-py3-none-any.whl"
        app = placed(make_app(source(), "missing"), pip=[str(missing)], resources={"place1": 1})
        with pytest.raises(AppStartFailed, match=r"pip cannot be installed: ERROR: .*sgw_nowhere") as caught:
            await lease(pool, app, timeout=PATIENCE)
        assert caught.value.failure is not None
        assert caught.value.failure.type == "PackagesNotInstalled"
        with pytest.raises(AppStartFailed, match="sgw_nowhere"):
            await pool.describe(app, timeout=PATIENCE)

    async def test_a_directory_that_is_brought_is_whole_and_gone_with_the_worker(
        self, start_pool: StartRayPool, make_app: MakeApp, cluster: RayCluster, tmp_path: Path
    ) -> None:
        pool = await start_pool()
        app = placed(make_app(source(), "brought"), upload=True, resources={"place1": 1})
        (app.directory / "words").mkdir()
        (tmp_path / "elsewhere.txt").write_text("hello")
        (app.directory / "words" / "greeting.txt").symlink_to(tmp_path / "elsewhere.txt")
        leased = await lease(pool, app)
        app.directory.rename(tmp_path / "moved")  # nothing is read here any more
        answer = await leased.call()
        assert (answer["files"], answer["words"]) == (["app.py", "words/greeting.txt"], "hello")
        beside = Path(answer["beside"])
        assert not beside.is_relative_to(tmp_path)
        assert beside.is_relative_to(cluster.directory)
        pool.end(leased.worker)
        await until(lambda: not beside.exists())

    async def test_what_an_app_asks_for_is_taken_of_the_machine_that_has_it(
        self, start_pool: StartRayPool, make_app: MakeApp
    ) -> None:
        pool = await start_pool()
        assert isinstance(pool, RayPool)
        asked = {"cpus": 0.5, "memory": 2**20, "resources": {"place2": 3}}
        leased = await lease(pool, placed(make_app(source(), "wanting"), **asked))
        await leased.call()
        async with asyncio.timeout(DEADLINE):
            while (await pool._link.ask({"do": "nodes"}))["free"]["place2"] != 97:  # noqa: ASYNC110  # told late
                await asyncio.sleep(0.1)

    async def test_each_worker_sees_the_gpu_that_it_has_been_given_and_one_too_many_waits(
        self, start_pool: StartRayPool, make_app: MakeApp
    ) -> None:
        pool = await start_pool()
        app = placed(make_app(source(), "computing"), gpus=1)
        first, second = await lease(pool, app), await lease(pool, app)
        seen = {(await each.call("devices"))["devices"] for each in (first, second)}
        assert seen == {"0", "1"}
        third = asyncio.create_task(lease(pool, app, timeout=PATIENCE))
        pool.end(first.worker)
        assert (await (await third).call("devices"))["devices"] in seen
        without = await lease(pool, make_app(source(), "plain"))
        assert not (await without.call("devices"))["devices"]
