"""What is the local pool's own: processes, directories, sockets, output, and the zygotes that fork workers."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from gateway.clock import Timer
from gateway.errors import AppStartFailed, WorkerExit, WorkerLost
from gateway.model import AppVersion
from gateway.testing.clock import FakeClock
from gateway.testing.pool_harness import Leased, MakeApp, PoolFixtures, StartPool, answer, lease, share
from gateway.testing.waiting import DEADLINE, exists, until
from gateway.worker.process import WorkerDirectory, start_time
from gateway.worker_settings import WorkerSettings
from gateway.workers.local import LocalPool
from gateway.workers.output import MAX_LINE
from gateway.workers.pooled import PooledWorker
from gateway.workers.process import LocalWorker
from gateway.workers.runtime import MAX_SOCKET_PATH, clear_leftovers, runtime_directory


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def output_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "gateway.output"]


class HookedClock(FakeClock):
    """Calls back when a timer is set: by then, whoever is about to wait has not begun to."""

    hook: Callable[[], object] | None = None

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        if self.hook is not None:
            self.hook()
        return super().call_later(delay, callback)


class TestIsolation(PoolFixtures):
    async def test_a_worker_sees_no_variable_of_the_gateway_that_may_be_secret(
        self, start_pool: StartPool, app: AppVersion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        monkeypatch.setenv("SGW_API_KEY", "hunter3")
        monkeypatch.setenv("LANG", "C.UTF-8")
        places = await (await lease(await start_pool(), app)).call("places")
        environment = places["environment"]
        assert not [value for value in environment.values() if "hunter" in value]
        assert environment["LANG"] == "C.UTF-8"
        assert environment["HOME"] == environment["PWD"] == places["cwd"]
        assert environment["TMPDIR"] == places["tmp"]

    async def test_a_workers_directory_is_closed_to_other_users(self, start_pool: StartPool, app: AppVersion) -> None:
        places = await (await lease(await start_pool(), app)).call("places")
        root = Path(places["cwd"]).parent
        assert root.stat().st_mode & 0o077 == 0
        assert root.parent.stat().st_mode & 0o077 == 0

    async def test_a_directory_that_an_app_has_locked_goes_all_the_same(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        places = await leased.call("places")
        await leased.call("lock_away")
        pool.end(leased.worker)
        await until(lambda: not Path(places["cwd"]).parent.exists())

    async def test_no_worker_writes_beside_the_apps_code(self, start_pool: StartPool, app: AppVersion) -> None:
        await (await lease(await start_pool(), app)).call()
        assert [path.name for path in app.directory.iterdir()] == ["app.py"]


class TestSockets(PoolFixtures):
    @pytest.mark.parametrize("garbage", ["ffffffff", "00000001ff", "47455420", "00000002ffff"])
    async def test_an_app_that_writes_garbage_to_its_workers_socket_loses_the_worker(
        self, start_pool: StartPool, app: AppVersion, garbage: str
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        with pytest.raises(WorkerLost):
            await leased.call("worker_sockets", garbage=garbage)
        assert leased.worker.exit == WorkerExit(signal=9)
        assert (await (await lease(pool, app)).call())["calls"] == 1

    async def test_an_app_that_closes_its_workers_socket_loses_the_worker(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        with pytest.raises(WorkerLost):
            await leased.call("worker_sockets")
        async with asyncio.timeout(DEADLINE):
            assert (await (await lease(pool, app)).call())["calls"] == 1

    async def test_frames_that_say_nothing_are_passed_over(self, start_pool: StartPool, app: AppVersion) -> None:
        leased = await lease(await start_pool(), app)
        assert await leased.call("worker_sockets", garbage="00000000") == {}

    async def test_the_workers_directories_have_a_path_that_is_short_enough_for_sockets(self, tmp_path: Path) -> None:
        short, long = Path("/tmp/d"), tmp_path / ("x" * 100)  # a name only
        assert runtime_directory(short) == short / "run"
        for data_dir in (short, long):
            directory = WorkerDirectory(runtime_directory(data_dir) / "wrk_0123456789abcdef")
            for socket in (directory.socket, directory.closed / directory.socket.name):
                assert len(os.fsencode(socket)) <= MAX_SOCKET_PATH
        assert runtime_directory(long) != runtime_directory(tmp_path / ("y" * 100))

    async def test_a_temporary_directory_that_is_too_long_is_not_taken_either(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 100)))
        assert len(os.fsencode(runtime_directory(tmp_path / ("y" * 100)))) < MAX_SOCKET_PATH / 2


class TestOutput(PoolFixtures):
    @pytest.fixture(autouse=True)
    def logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        with caplog.at_level(logging.INFO, logger="gateway"):
            yield

    @pytest.mark.parametrize("error", [False, True])
    async def test_what_an_app_prints_is_logged_with_its_session(
        self, start_pool: StartPool, app: AppVersion, caplog: pytest.LogCaptureFixture, error: bool
    ) -> None:
        leased = await lease(await start_pool(), app)
        await leased.call("shout", text="hällo", error=error)
        await until(lambda: output_of(caplog))
        (record,) = output_of(caplog)
        assert record.getMessage() == "hällo"
        labels = (record.session_id, record.worker_id, record.app)  # type: ignore[attr-defined]
        assert labels == (leased.session_id, leased.worker.id, "obedient@1")

    async def test_the_last_words_of_a_worker_that_dies_are_logged(
        self, start_pool: StartPool, make_app: MakeApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = make_app(OUTSPOKEN)
        leased = await lease(await start_pool(), app)
        with pytest.raises(WorkerLost):
            await leased.call()
        await until(lambda: [record for record in output_of(caplog) if record.getMessage() == "last words"])

    async def test_output_beyond_the_rate_is_dropped_and_told_and_the_app_does_not_hang(
        self, start_pool: StartPool, app: AppVersion, caplog: pytest.LogCaptureFixture
    ) -> None:
        pool = await start_pool(output_rate=1000)
        leased = await lease(pool, app)
        await leased.call("shout", text="x" * 99, lines=30_000)
        pool.end(leased.worker)
        await until(lambda: leased.worker.exit is not None)
        records = output_of(caplog)
        logged = sum(len(record.getMessage()) + 1 for record in records if record.levelname == "INFO")
        dropped = sum(cast("tuple[int, int]", r.args)[0] for r in records if r.levelname == "WARNING")
        assert 0 < logged <= 1000 + 65536
        assert dropped >= 3_000_000 - logged - MAX_LINE

    async def test_a_line_that_never_ends_is_logged_in_pieces(
        self, start_pool: StartPool, app: AppVersion, caplog: pytest.LogCaptureFixture
    ) -> None:
        pool = await start_pool(output_rate=10_000_000)
        leased = await lease(pool, app)
        await leased.call("shout", text="x" * 100_000)
        pool.end(leased.worker)
        await until(lambda: leased.worker.exit is not None)
        pieces = [record.getMessage() for record in output_of(caplog)]
        assert "".join(pieces) == "x" * 100_000
        assert max(map(len, pieces)) <= MAX_LINE


OUTSPOKEN = """
import os
from sessiongateway.app import BaseApp

class App(BaseApp):
    def run(self):
        print("last words", end="")
        os.write(1, b"")
        os.kill(os.getpid(), 9)
"""


THREADED = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
{app}    x = 1
"""


class TestZygotes(PoolFixtures):
    async def test_an_interpreter_that_cannot_be_run_is_told(self, start_pool: StartPool, make_app: MakeApp) -> None:
        pool = await start_pool()
        for path in ("/no/such/python", "/etc/passwd"):
            app = make_app(name=f"app{len(path)}", interpreter=path)
            with pytest.raises(AppStartFailed, match="interpreter"):
                await lease(pool, app)

    async def test_an_app_may_have_an_interpreter_of_its_own(self, start_pool: StartPool, make_app: MakeApp) -> None:
        leased = await lease(await start_pool(), make_app(interpreter=sys.executable))
        assert (await leased.call())["calls"] == 1

    async def test_a_worker_and_what_it_starts_wake_up_without_taking_the_processor_from_whoever_runs(
        self, start_pool: StartPool, make_app: MakeApp
    ) -> None:
        pool = await start_pool()
        for method in ("fork", "spawn"):
            leased = await lease(pool, make_app(name=method, start_method=method))
            pid = (await leased.call())["pid"]
            child = (await leased.call("bear"))["pid"]
            assert [os.sched_getscheduler(each) for each in (pid, child)] == [os.SCHED_BATCH] * 2

    async def test_workers_outlive_their_zygote_and_the_next_lease_gets_another(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        pid = (await leased.call())["pid"]
        zygote = parent_of(pid)
        os.kill(zygote, signal.SIGKILL)
        await until(lambda: not exists(zygote))
        assert (await leased.call())["calls"] == 2
        async with asyncio.timeout(DEADLINE):
            other = await lease(pool, app)
        assert (await other.call())["calls"] == 1
        with pytest.raises(WorkerLost) as caught:
            await leased.call("die", signal=9)
        assert caught.value.worker_exit == WorkerExit()

    async def test_a_worker_whose_zygote_dies_before_it_has_told_of_its_end_is_lost_all_the_same(
        self, start_pool: StartPool, app: AppVersion
    ) -> None:
        pool = await start_pool()
        leased = await lease(pool, app)
        pid = (await leased.call())["pid"]
        zygote = parent_of(pid)
        os.kill(zygote, signal.SIGSTOP)
        await until(lambda: is_stopped(zygote))
        dying = leased.begin("die", signal=9)
        worker = leased.worker
        assert isinstance(worker, LocalWorker)
        await until(lambda: not exists(pid))
        for _ in range(100):  # the gateway has seen the end of the process, and of its socket
            await asyncio.sleep(0)
        os.kill(zygote, signal.SIGKILL)
        with pytest.raises(WorkerLost):
            await answer(dying)

    async def test_an_import_that_starts_threads_is_warned_of(
        self, start_pool: StartPool, make_app: MakeApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = make_app(THREADED)
        with caplog.at_level(logging.INFO, logger="gateway"):
            await lease(await start_pool(), app)
        assert any("start_method = 'spawn'" in record.getMessage() for record in output_of(caplog))

    async def test_a_start_that_fails_leaves_no_complaint_about_files_that_never_were(
        self, start_pool: StartPool, make_app: MakeApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = make_app("raise ValueError('broken')")
        pool = await start_pool()
        with pytest.raises(AppStartFailed):
            await lease(pool, app)
        await pool.close()
        assert [record.getMessage() for record in caplog.records if "delete" in record.getMessage()] == []

    async def test_an_app_that_does_not_start_is_not_tried_again_at_once(
        self, start_pool: StartPool, make_app: MakeApp, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        app = make_app("raise ValueError('broken')")
        pool = await start_pool(min_idle=1)

        def attempts() -> int:
            return sum("does not start" in record.getMessage() for record in caplog.records)

        pool.keep_ready([app])
        await until(lambda: attempts() == 1)
        for _ in range(3):
            pool.keep_ready([app])
        await clock.advance(0.4)
        assert attempts() == 1
        await clock.advance(0.1)
        await until(lambda: attempts() == 2)


class TestGivingBack(PoolFixtures):
    @pytest.fixture
    def clock(self) -> HookedClock:
        return HookedClock()

    @pytest.mark.parametrize("ask", [lease, share])
    async def test_a_worker_given_to_one_who_is_cancelled_at_that_moment_is_there_for_the_next(
        self, start_pool: StartPool, app: AppVersion, clock: HookedClock, ask: Callable[..., asyncio.Future[object]]
    ) -> None:
        pool = await start_pool(max_workers=1)
        assert isinstance(pool, LocalPool)

        def cancel_when_given() -> None:
            for waiter in pool._waiters:
                waiter.worker.add_done_callback(lambda _: taken.cancel())

        taken = asyncio.ensure_future(lease(pool, app))
        clock.hook = cancel_when_given
        await asyncio.wait([taken], timeout=DEADLINE)
        assert taken.cancelled()
        clock.hook = None
        async with asyncio.timeout(DEADLINE):
            await ask(pool, app)


class CancellingPool(LocalPool):
    """Cancels a call that waits, in the moment in which a worker becomes ready for it."""

    victim: "asyncio.Task[Leased] | None" = None

    def _became_idle(self, worker: PooledWorker) -> None:
        if self.victim is not None:
            self.victim.cancel()
        super()._became_idle(worker)


class TestCancelledBefore(PoolFixtures):
    async def test_a_worker_that_becomes_ready_for_one_who_has_just_been_cancelled_goes_to_the_next(
        self, short_path: Path, app: AppVersion, clock: FakeClock
    ) -> None:
        pool = CancellingPool(WorkerSettings(min_idle=0, max_workers=1), short_path / "run", clock)
        await pool.start()
        pool.victim, patient = (asyncio.create_task(lease(pool, app)) for _ in range(2))
        async with asyncio.timeout(DEADLINE):
            assert (await (await patient).call())["calls"] == 1
        assert pool.victim.cancelled()
        await pool.close()


class TestLeftovers:
    @pytest.fixture
    def orphan(self) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(
            [sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True
        ) as process:
            yield process
            process.kill()

    def record(self, directory: Path, pid: int, started: int) -> WorkerDirectory:
        worker = WorkerDirectory(directory / "wrk_left")
        directory.mkdir()
        worker.create()
        worker.pid.write_text(f"{pid} {started}")
        return worker

    def test_a_worker_of_a_gateway_that_died_is_ended_and_its_directory_removed(
        self, tmp_path: Path, orphan: subprocess.Popen[bytes]
    ) -> None:
        left = self.record(tmp_path / "run", orphan.pid, start_time(orphan.pid))
        clear_leftovers(tmp_path / "run")
        assert orphan.wait(DEADLINE) == -signal.SIGKILL
        assert not left.root.exists()
        assert list((tmp_path / "run").iterdir()) == []

    def test_another_process_that_has_its_id_by_now_is_left_alone(
        self, tmp_path: Path, orphan: subprocess.Popen[bytes]
    ) -> None:
        self.record(tmp_path / "run", orphan.pid, start_time(orphan.pid) - 1)
        clear_leftovers(tmp_path / "run")
        assert orphan.poll() is None

    @pytest.mark.parametrize("text", ["", "x y", "1", "99999999999 1"])
    def test_a_record_that_cannot_be_read_does_no_harm(self, tmp_path: Path, text: str) -> None:
        self.record(tmp_path / "run", 1, 1).pid.write_text(text)
        clear_leftovers(tmp_path / "run")
        assert list((tmp_path / "run").iterdir()) == []

    async def test_a_pool_clears_away_what_it_finds(self, tmp_path: Path, orphan: subprocess.Popen[bytes]) -> None:
        self.record(tmp_path / "run", orphan.pid, start_time(orphan.pid))
        pool = LocalPool(WorkerSettings(), tmp_path / "run", FakeClock())
        await pool.start()
        await pool.close()
        assert orphan.wait(DEADLINE) == -signal.SIGKILL
