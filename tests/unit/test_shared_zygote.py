"""A zygote that several processes have together: whose workers are whose, who starts it, and when it goes."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.errors import AppStartFailed, WorkerExit
from gateway.model import AppRef, AppVersion, Limits
from gateway.testing.waiting import DEADLINE, exists, until
from gateway.timing import ZYGOTE_LINGER
from gateway.worker.family import end_families, mark_of
from gateway.worker.gate import knock, locked, opened
from gateway.worker.process import WorkerDirectory
from gateway.workers.containment.base import Containment
from gateway.workers.ray.sharing import SharedZygote, clear_away
from gateway.workers.zygote import ZygoteGone
from sessiongateway.worker.v1 import worker_pb2 as pb

APP = """
import os, pathlib, resource, subprocess, time
from sessiongateway.app import BaseApp

here = pathlib.Path(__file__).parent
with open(here / "imports", "a") as file:
    file.write(f"{os.getpid()}\\n")
while (here / "wait").exists():
    time.sleep(0.01)
if (here / "die").exists():
    os.kill(os.getpid(), 9)
if (here / "fail").exists():
    raise RuntimeError("not today")

class App(BaseApp):
    def __init__(self):
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        made = here / os.environ["SGW_WORKER_ID"]
        made.with_suffix(".new").write_text(f"{child.pid} {files}")
        made.with_suffix(".new").rename(made)

    async def run(self, input: dict) -> dict:
        return input
"""


class Actor:
    """One of those who share a zygote, as an actor does; with one worker."""

    def __init__(self, app: AppVersion, base: Path, name: str, node: str, kind: type[SharedZygote]) -> None:
        self.zygote = kind(app, base, SystemClock(), 1000, Containment("fork"), environment={}, node=node)
        self.exits: asyncio.Queue[WorkerExit] = asyncio.Queue()
        self.pid = self.child = self.files = 0
        self._app = app
        self._directory = WorkerDirectory(base / name)
        self.name = name
        self._contact = socket.socket(socket.AF_UNIX)

    async def start(self) -> None:
        await self.zygote.start(DEADLINE)

    async def fork(self) -> None:
        """Have a worker that has something running outside its process group."""
        self._directory.create()
        door = pb.Door(host="127.0.0.1", key=b"key", purpose=b"purpose")
        forked = await self.zygote.fork(self.name, self._directory.root, self.exits.put_nowait, door)
        self.pid = forked.pid
        self._contact.connect(str(self._directory.socket))
        made = self._app.directory / self.name
        await until(made.exists)
        self.child, self.files = map(int, made.read_text().split())

    async def exit(self) -> WorkerExit:
        return await asyncio.wait_for(self.exits.get(), DEADLINE)

    def is_there(self) -> list[bool]:
        """Whether the worker is, and what it has started."""
        return [exists(self.pid), exists(self.child)]

    async def stop(self) -> None:
        self._contact.close()
        await self.zygote.stop()


class Node:
    """A directory in which actors come together."""

    def __init__(self, app: AppVersion, base: Path) -> None:
        self.app = app
        self.base = base
        self.actors: list[Actor] = []

    def actor(self, app: AppVersion | None = None, node: str = "", kind: type[SharedZygote] = SharedZygote) -> Actor:
        actor = Actor(app or self.app, self.base, f"wrk_{len(self.actors)}", node, kind)
        self.actors.append(actor)
        return actor

    async def started(self) -> Actor:
        actor = self.actor()
        await actor.start()
        return actor

    def imports(self) -> list[int]:
        """Return the processes that have imported the app."""
        with contextlib.suppress(FileNotFoundError):
            return [int(line) for line in (self.app.directory / "imports").read_text().split()]
        return []

    def left(self) -> list[str]:
        return [path.name for path in self.base.glob("zyg.*")]


@pytest.fixture
def app(tmp_path: Path) -> AppVersion:
    (tmp_path / "app.py").write_text(APP)
    return AppVersion(AppRef("shared", "1"), tmp_path)


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sgw-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture
async def node(app: AppVersion, base: Path) -> AsyncIterator[Node]:
    """Return a node. At the end nothing is left of it."""
    node = Node(app, base)
    yield node
    for name in ("wait", "fail", "die"):
        (app.directory / name).unlink(missing_ok=True)
    for actor in node.actors:
        await actor.stop()
    await until(lambda: not any(map(exists, node.imports())))
    assert node.left() == []
    for actor in node.actors:
        assert not actor.pid or actor.is_there() == [False, False]


async def test_the_second_forks_from_the_zygote_of_the_first_and_nothing_is_imported_again(node: Node) -> None:
    first, second = await node.started(), await node.started()
    await first.fork()
    await second.fork()
    (zygote,) = node.imports()
    assert [parent_of(first.pid), parent_of(second.pid)] == [zygote, zygote]
    assert [function.name for function in second.zygote.functions] == ["run"]
    assert parent_of(zygote) != os.getpid()
    assert os.getsid(zygote) != os.getsid(0)


async def test_with_the_end_of_one_its_worker_goes_and_all_that_has_started_and_no_others(node: Node) -> None:
    first, second = await node.started(), await node.started()
    await first.fork()
    await second.fork()
    await first.stop()
    await until(lambda: first.is_there() == [False, False])
    assert second.is_there() == [True, True]
    third = await node.started()
    await third.fork()
    assert len(node.imports()) == 1
    os.kill(second.pid, signal.SIGTERM)
    await second.exit()
    assert third.is_there() == [True, True]


async def test_each_hears_of_the_end_of_its_own_worker_and_of_no_other(node: Node) -> None:
    first, second = await node.started(), await node.started()
    await first.fork()
    await second.fork()
    os.kill(second.pid, signal.SIGKILL)
    assert await second.exit() == WorkerExit(signal=signal.SIGKILL)
    os.kill(first.pid, signal.SIGUSR1)
    assert await first.exit() == WorkerExit(signal=signal.SIGUSR1)
    assert first.exits.empty()
    assert second.exits.empty()


async def test_it_goes_with_the_last_one_but_not_at_once(node: Node) -> None:
    first = await node.started()
    await first.stop()
    second = await node.started()
    assert len(node.imports()) == 1
    (zygote,) = node.imports()
    loop = asyncio.get_running_loop()
    await second.stop()
    left = loop.time()
    await until(lambda: not exists(zygote))
    assert loop.time() - left > ZYGOTE_LINGER / 2
    assert node.left() == []
    third = await node.started()
    await third.fork()
    assert len(node.imports()) == 2


async def test_of_two_who_come_at_a_time_one_starts_it(node: Node) -> None:
    actors = [node.actor() for _ in range(8)]
    await asyncio.gather(*(actor.start() for actor in actors))
    assert len(node.imports()) == 1
    await asyncio.gather(*(actor.fork() for actor in actors))
    assert len({parent_of(actor.pid) for actor in actors}) == 1


async def test_those_on_another_node_or_with_other_limits_have_another_one(node: Node) -> None:
    limited = replace(node.app, limits=Limits(open_files=64))
    actors = [node.actor(), node.actor(node="another"), node.actor(limited)]
    for actor in actors:
        await actor.start()
        await actor.fork()
    assert len({parent_of(actor.pid) for actor in actors}) == 3
    assert actors[2].files == 64
    assert actors[0].files > 64


async def test_when_it_is_killed_all_workers_go_and_the_next_one_makes_a_new_one(node: Node) -> None:
    first, second = await node.started(), await node.started()
    await first.fork()
    await second.fork()
    (zygote,) = node.imports()
    os.kill(zygote, signal.SIGKILL)
    for actor in (first, second):
        await until(partial(is_lost, actor))
        with pytest.raises(ZygoteGone):
            await actor.zygote.fork("wrk_more", node.base / "more", actor.exits.put_nowait)
        assert end_families({mark_of(actor.name)})  # as an actor does
    third = await node.started()
    await third.fork()
    assert parent_of(third.pid) == node.imports()[1]
    await first.stop()  # which clears away nothing of the new one
    fourth = await node.started()
    await fourth.fork()
    assert len(node.imports()) == 2


async def test_a_failed_import_is_told_to_all_who_wait_and_nothing_is_left(node: Node) -> None:
    (node.app.directory / "fail").touch()
    (node.app.directory / "wait").touch()
    actors = [node.actor() for _ in range(3)]
    starting = [asyncio.ensure_future(actor.start()) for actor in actors]
    await until(node.imports)
    await until(lambda: connections_of(node) == len(actors) - 1)
    (node.app.directory / "wait").unlink()
    for failed in await asyncio.gather(*starting, return_exceptions=True):
        assert isinstance(failed, AppStartFailed)
        assert failed.failure is not None
        assert failed.failure.message == "not today"
    assert node.left() == []
    assert len(node.imports()) == 1


async def test_an_import_ends_with_the_one_who_began_it_and_those_who_wait_may_come_again(node: Node) -> None:
    (node.app.directory / "wait").touch()
    first, second = node.actor(), node.actor()
    beginning = asyncio.ensure_future(first.start())
    await until(node.imports)
    waiting = asyncio.ensure_future(second.start())
    await until(lambda: connections_of(node) == 1)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    with pytest.raises(ZygoteGone):
        await waiting
    assert node.left() == []
    (node.app.directory / "wait").unlink()
    third = await node.started()
    await third.fork()
    assert parent_of(third.pid) == node.imports()[1]


class Late(SharedZygote):
    """Hears of a zygote only when that has ended."""

    def _reach(self) -> socket.socket:
        control = super()._reach()
        select.select([control], [], [], DEADLINE)
        return control


@pytest.mark.parametrize("kind", [SharedZygote, Late])
async def test_an_import_that_ends_the_process_is_told_to_whoever_began_it_and_leaves_nothing(
    node: Node, kind: type[SharedZygote]
) -> None:
    (node.app.directory / "die").touch()
    actor = node.actor(kind=kind)
    with pytest.raises(AppStartFailed, match="the process ended during the import"):
        await actor.start()
    assert node.left() == []


async def test_an_interpreter_that_is_not_there_is_told_and_nothing_is_left(node: Node) -> None:
    actor = node.actor(replace(node.app, interpreter="/nowhere/python"))
    with pytest.raises(AppStartFailed, match="the interpreter cannot be run"):
        await actor.start()
    assert node.left() == []


async def test_what_those_have_left_who_were_killed_is_cleared_away_and_what_is_in_use_is_not(node: Node) -> None:
    actor = await node.started()
    (used,) = node.left()
    opened(node.base / "zyg.dead").close()
    assert sorted(node.left()) == sorted([used, "zyg.dead"])
    clear_away(node.base)
    assert node.left() == [used]
    await actor.fork()


async def test_it_stays_while_somebody_is_about_to_come(node: Node) -> None:
    actor = await node.started()
    (zygote,) = node.imports()
    with locked(node.base):
        await actor.stop()
        with pytest.raises(TimeoutError):
            await until(lambda: not exists(zygote), ZYGOTE_LINGER * 3)
        (name,) = node.left()
        control = knock(node.base / name)
        assert control is not None
    second = await node.started()
    control.close()
    await second.fork()
    assert parent_of(second.pid) == zygote


async def test_one_who_does_not_read_holds_up_nobody(node: Node) -> None:
    first = await node.started()
    await first.fork()
    (name,) = node.left()
    silent = knock(node.base / name)
    assert silent is not None
    with silent:
        second = await node.started()
        await second.fork()
    assert first.is_there() == second.is_there() == [True, True]


def is_lost(actor: Actor) -> bool:
    return not actor.zygote.alive and not exists(actor.pid)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def connections_of(node: Node) -> int:
    """Return how many wait to be let in by the zygote of a node."""
    (name,) = node.left()
    path = str(node.base / name / "s")
    # Num, RefCount, Protocol, Flags, Type, St, Inode, Path: those who wait have the path, and are not listening.
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines() if line.endswith(f" {path}")]
    return sum(line[3] != "00010000" for line in lines)
