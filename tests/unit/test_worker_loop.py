"""The event loop of a worker: the short way for the gateway's socket, and everything else as on any loop."""

import asyncio
import os
import select
import socket
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from gateway.worker.loop import WorkerLoop

mark: ContextVar[str] = ContextVar("mark", default="")


@pytest.fixture
def loop() -> Iterator[WorkerLoop]:
    loop = WorkerLoop()
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def begun(loop: WorkerLoop, pair: tuple[socket.socket, socket.socket], work: "asyncio.Future[None]") -> list[object]:
    """Return what a task has seen when its first step is over, and when it is done."""
    seen: list[object] = []

    async def step() -> str:
        seen.append(asyncio.current_task())
        mark.set("in the task")
        await work
        return mark.get()

    def readable() -> None:
        ours.recv(16)
        task = loop.begin(step(), "run")
        seen.extend((task, task.done(), mark.get()))
        task.add_done_callback(lambda done: seen.append(done.result()))
        task.add_done_callback(lambda _: loop.stop())
        loop.call_soon(work.set_result, None)

    ours, theirs = pair
    loop.watch(ours.fileno(), readable)
    theirs.send(b"x")
    loop.run_forever()
    loop.unwatch(ours.fileno())
    return seen


def test_a_task_takes_its_first_step_at_once_as_the_current_one_and_goes_on_like_any_other(
    loop: WorkerLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    current, task, done, outside, result = begun(loop, pair, loop.create_future())
    assert current is task
    assert (done, outside, result) == (False, "", "in the task")


def test_a_task_that_never_waits_is_done_when_it_is_begun(
    loop: WorkerLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    found: list[asyncio.Task[int]] = []

    async def at_once() -> int:
        return 17

    def readable() -> None:
        ours.recv(16)
        found.append(loop.begin(at_once(), "run"))
        loop.stop()

    ours, theirs = pair
    loop.watch(ours.fileno(), readable)
    theirs.send(b"x")
    loop.run_forever()
    assert found[0].done()
    assert found[0].result() == 17


def test_timers_other_descriptors_and_threads_are_served_beside_a_watched_one(
    loop: WorkerLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    watched: asyncio.Future[bytes] = loop.create_future()
    loop.watch(ours.fileno(), lambda: watched.set_result(ours.recv(16)))

    async def everything() -> bytes:
        from_thread = asyncio.Event()
        threading.Thread(target=loop.call_soon_threadsafe, args=(from_thread.set,)).start()
        await from_thread.wait()
        await asyncio.sleep(0.001)
        await loop.sock_sendall(theirs, b"there")
        assert await watched == b"there"
        ours.send(b"and back")
        return await loop.sock_recv(theirs, 16)

    assert loop.run_until_complete(asyncio.wait_for(everything(), 10)) == b"and back"


def test_a_descriptor_that_is_no_longer_watched_calls_nobody(
    loop: WorkerLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    calls: list[int] = []
    loop.watch(ours.fileno(), lambda: calls.append(1))
    loop.unwatch(ours.fileno())
    loop.unwatch(ours.fileno())
    theirs.send(b"x")
    loop.run_until_complete(asyncio.sleep(0.001))
    assert calls == []


def test_a_renewed_loop_shares_nothing_with_what_it_was(
    loop: WorkerLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    """The other process of a fork is stood for by descriptors that were duplicated before."""
    waker, watchers = loop._csock.dup(), [os.dup(each.fileno()) for each in (loop._watched, loop._watched._first)]
    loop.renew()
    ours, theirs = pair
    found: asyncio.Future[bytes] = loop.create_future()
    loop.watch(ours.fileno(), lambda: found.set_result(ours.recv(16)))
    theirs.send(b"x")
    loop._csock.send(b"x")
    with waker, pytest.raises(BrokenPipeError):
        waker.send(b"x")
    for watcher in watchers:
        with select.epoll.fromfd(watcher) as other:
            assert other.poll(0) == []
    assert loop.run_until_complete(asyncio.wait_for(found, 10)) == b"x"
