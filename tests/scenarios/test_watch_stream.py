"""How a watch lives: quiet times, slow readers, what is forgotten, and a gateway that stops."""

import asyncio

from gateway.model import EndReason
from gateway.sessions.watch import PAGE, SessionWatch
from gateway.testing.store_harness import added
from gateway.testing.waiting import until
from gateway.timing import PURGE_INTERVAL, WATCH_POLL, WATCH_QUIET
from tests.scenarios.client import told
from tests.scenarios.conftest import StartVirtual, VirtualGateway
from tests.scenarios.failures import refused

ANONYMOUS = "anonymous"
WATCHING = ("WATCHING", "")
RETENTION = 3600.0
MANY = 5 * PAGE


async def test_after_a_quiet_time_a_watch_says_that_it_stands_with_a_token_of_now(virtual: VirtualGateway) -> None:
    stranger = virtual.client.as_caller("another")
    async with virtual.client.watch() as watch:
        first = await watch.receive()
        theirs = await stranger.new("run")
        await virtual.clock.advance(WATCH_QUIET)
        again = await watch.receive()
        assert told(again) == WATCHING
        assert again.resume_token != first.resume_token
        assert again.occurred_at.ToSeconds() - first.occurred_at.ToSeconds() == WATCH_QUIET
        mine = await virtual.client.new("run")
        assert await watch.events(1) == [("CREATED", mine.id)]
    async with virtual.client.watch(again.resume_token) as resumed:
        assert await resumed.events(2) == [WATCHING, ("CREATED", mine.id)]
    assert theirs.id != mine.id


async def test_an_event_puts_the_next_quiet_message_off(virtual: VirtualGateway) -> None:
    async with virtual.client.watch() as watch:
        await watch.receive()
        await virtual.clock.advance(WATCH_QUIET - 1)
        opened = await virtual.client.new("run", session_timeout=600)
        assert await watch.events(1) == [("CREATED", opened.id)]
        await virtual.clock.advance(WATCH_QUIET - 1)
        await virtual.client.end(opened.id)
        assert await watch.events(1) == [("ENDED", opened.id)]


async def test_what_another_gateway_on_the_store_does_shows_after_the_poll(virtual: VirtualGateway) -> None:
    async with virtual.client.watch() as watch:
        await watch.receive()
        session = await added(virtual.gateway.store, owner=ANONYMOUS)
        await virtual.gateway.store.end(session.id, EndReason.CALLER, virtual.clock.now())
        await virtual.clock.advance(WATCH_POLL)
        assert await watch.events(2) == [("CREATED", session.id), ("ENDED", session.id)]


async def test_a_slow_reader_gets_everything_while_the_gateway_holds_no_more_than_a_page(
    virtual: VirtualGateway,
) -> None:
    store = virtual.gateway.store
    async with virtual.client.watch() as watch:
        await watch.receive()
        (held,) = virtual.gateway.manager._streams
        assert isinstance(held, SessionWatch)
        ids = []
        for number in range(MANY):
            ids.append((await added(store, owner=ANONYMOUS, worker_id="wrk_" + "x" * 2000)).id)
            if number % PAGE == 0:
                await virtual.clock.advance(WATCH_POLL)
                assert len(held._unread) <= PAGE
        # Not read by the caller: the messages fill the connection, and from there on the events stay in the store.
        await virtual.clock.advance(WATCH_POLL)
        assert len(held._unread) <= PAGE
        assert held._cursor != await store.position()
        assert await watch.events(MANY) == [("CREATED", id) for id in ids]


async def test_a_token_is_good_for_the_retention_and_then_refused_with_what_to_do(start_virtual: StartVirtual) -> None:
    virtual = await start_virtual(sessions={"retention": RETENTION})
    async with virtual.client.watch() as watch:
        old = (await watch.receive()).resume_token
        opened = await virtual.client.new("run")
        await virtual.client.end(opened.id)
        created = (await watch.receive()).resume_token
    await virtual.clock.advance(RETENTION - 1)
    async with virtual.client.watch(old) as watch:
        assert await watch.events(3) == [WATCHING, ("CREATED", opened.id), ("ENDED", opened.id)]
    await virtual.clock.advance(1 + 2 * PURGE_INTERVAL)
    for token in (old, created):
        async with virtual.client.watch(token) as watch:
            error = await refused(watch.receive(), "INVALID_REQUEST")
            ((field, why),) = error.bad_request
            assert field == "resume_token"
            assert "watch anew, then list" in why


async def test_a_quiet_watch_is_good_for_ever_however_often_events_are_forgotten(start_virtual: StartVirtual) -> None:
    virtual = await start_virtual(sessions={"retention": RETENTION})
    stranger = virtual.client.as_caller("another")
    async with virtual.client.watch() as watch:
        await watch.receive()
        for _ in range(3):
            opened = await stranger.new("run")
            await stranger.end(opened.id)
            await virtual.clock.advance(RETENTION)
        mine = await virtual.client.new("run")
        event = WATCHING
        while event == WATCHING:
            (event,) = await watch.events(1)
        assert event == ("CREATED", mine.id)


async def test_a_gateway_that_ends_its_sessions_tells_a_watch_of_each_before_it_goes(
    start_virtual: StartVirtual,
) -> None:
    virtual = await start_virtual()
    async with virtual.client.watch() as watch:
        await watch.receive()
        ids = {(await virtual.client.new("run")).id for _ in range(3)}
        assert {id for _, id in await watch.events(3)} == ids
        stopping = asyncio.create_task(virtual.gateway.manager.close(end_sessions=True))
        assert set(await watch.events(3)) == {("ENDED", id) for id in ids}
        await refused(watch.receive(), "GATEWAY_DRAINING")
        await stopping


async def test_a_draining_gateway_takes_no_new_watch(virtual: VirtualGateway) -> None:
    await virtual.gateway.manager.drain(0.0, asyncio.Event())
    async with virtual.client.watch() as watch:
        error = await refused(watch.receive(), "GATEWAY_DRAINING")
    assert error.retry_delay


async def test_a_watch_that_is_cancelled_leaves_nothing_behind(virtual: VirtualGateway) -> None:
    waiting = virtual.gateway.manager._lifecycle.news._waiting
    async with virtual.client.watch() as watch:
        await watch.receive()
        assert list(waiting) == [ANONYMOUS]
    await until(lambda: not waiting)


async def test_a_watch_that_is_refused_leaves_nothing_behind(virtual: VirtualGateway) -> None:
    async with virtual.client.watch("nonsense") as watch:
        await refused(watch.receive(), "INVALID_REQUEST")
    assert not virtual.gateway.manager._lifecycle.news._waiting
