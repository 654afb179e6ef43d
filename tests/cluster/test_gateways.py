"""Three gateways on one Redis: to a caller they are one."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import apps_pb2, errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.cluster.conftest import Fleet
from tests.process.observe import DEADLINE, eventually
from tests.scenarios.client import Answer, CallFailed, Client, connected, failure, told
from tests.scenarios.failures import refused

RETRY = 0.05
"""Between two tries of what nothing announces."""


@asynccontextmanager
async def clients_of(gateways: Sequence[GatewayProcess]) -> AsyncIterator[list[Client]]:
    """Connect to each gateway."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(each.address, "owner")) for each in gateways]


async def accepted(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Repeat a call until a gateway takes it: until then it says that it has not begun."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await call()
            except CallFailed as error:
                if error.code not in ("GATEWAY_DRAINING", "STORE_UNAVAILABLE") or error.run_state != "NOT_STARTED":
                    raise
            await asyncio.sleep(RETRY)


async def test_a_session_is_used_through_any_of_them(fleet: Fleet) -> None:
    async with clients_of(await fleet.start(3)) as clients:
        first = await clients[0].new("remember", {"text": "kept"})
        for client in clients * 2:
            assert (await client.run("recall", session=first.id)).output["memory"] == "kept"
            assert (await client.get(first.id)).status == pb.SESSION_STATUS_ACTIVE
        assert (await clients[1].get(first.id)).call_count == 7
        ended = await clients[2].end(first.id)
        assert (ended.status, ended.call_count) == (pb.SESSION_STATUS_ENDED, 7)
        assert [(await client.get(first.id)).status for client in clients] == [pb.SESSION_STATUS_ENDED] * 3


async def test_calls_through_all_of_them_are_in_order_and_counted(fleet: Fleet) -> None:
    async with clients_of(await fleet.start(3)) as clients:
        session = (await clients[0].new("run")).id
        answers = [clients[number % 3].run(session=session) for number in range(60)]
        counts = [answer.output["calls"] for answer in await asyncio.gather(*answers)]
        assert sorted(counts) == list(range(2, 62))
        assert [(await client.get(session)).call_count for client in clients] == [61] * 3


async def test_a_ready_worker_is_leased_by_its_id_through_any_of_them_and_only_once(fleet: Fleet) -> None:
    async with clients_of(await fleet.start(3, WORKERS_MIN_IDLE="1")) as clients:
        request = apps_pb2.GetAppRequest(app="probe")
        found: list[str] = []
        async with asyncio.timeout(DEADLINE):
            while len(found) != 3:
                found = (await clients[0].unary(clients[0].apps.GetApp, request)).app.idle_worker_ids
        for number, worker in enumerate(found):
            opened = await clients[number].new("run", worker_id=worker)
            assert opened.session.worker_id == worker
            for client in clients:
                await refused(client.new("run", worker_id=worker), "WORKER_LEASED", "NOT_STARTED")
                assert (await client.run(session=opened.id, worker_id=worker)).session.worker_id == worker


async def test_a_request_id_runs_once_whoever_gets_it(fleet: Fleet) -> None:
    async with clients_of(await fleet.start(3)) as clients:
        for opened in [await client.new("run") for client in clients]:
            for client in clients:  # by then they know one another
                await client.run(session=opened.id)
        answers = [await client.new("run", request_id="again") for client in clients]
        assert len({answer.id for answer in answers}) == 1
        plain = await asyncio.gather(*(client.run(request_id="plain") for client in clients))
        assert len({answer.response.call_id for answer in plain}) == 1


async def test_pages_and_watches_go_on_through_another_one(fleet: Fleet) -> None:
    async with clients_of(await fleet.start(3)) as clients:
        sessions = [(await client.new("run")).id for client in clients]
        page = await clients[0].list(page_size=2)
        rest = await clients[1].list(page_size=2, page_token=page.next_page_token)
        assert [each.id for each in (*page.sessions, *rest.sessions)] == sessions[::-1]
        async with clients[0].watch() as watch:
            first = await watch.receive()
            assert told(first) == ("WATCHING", "")
            await clients[1].end(sessions[2])
            ended = await watch.receive()
            assert told(ended) == ("ENDED", sessions[2])
        async with clients[2].watch(resume_token=ended.resume_token) as watch:
            assert told(await watch.receive()) == ("WATCHING", "")
            await clients[0].end(sessions[0])
            assert told(await watch.receive()) == ("ENDED", sessions[0])


async def test_a_keepalive_stream_has_sessions_of_all_of_them(fleet: Fleet) -> None:
    async with clients_of(await fleet.start(3)) as clients:
        sessions = [(await client.new("run")).id for client in clients]
        for client in clients:
            async with client.keepalive_stream() as stream:
                answers = await stream.renew(*sessions)
                assert [answer.session.id for answer in answers] == sessions
        async with clients[0].keepalive_stream() as stream:
            await stream.renew(*sessions)
            await clients[1].end(sessions[2])
            news = await stream.receive()
            assert (news.session_id, news.error.code) == (sessions[2], errors_pb2.ERROR_CODE_SESSION_ENDED)


async def test_a_keepalive_stream_outlasts_the_stop_of_another_one(fleet: Fleet) -> None:
    gateways = await fleet.start(2)
    async with clients_of(gateways) as clients:
        stopping, staying = [(await client.new("run")).id for client in clients]
        async with clients[1].keepalive_stream() as stream:
            await stream.renew(stopping, staying)
            await asyncio.to_thread(gateways[0].stop)
            news = await stream.receive()
            assert (news.session_id, news.error.code) == (stopping, errors_pb2.ERROR_CODE_STORE_UNAVAILABLE)
            (answer,) = await stream.renew(staying)
            assert answer.session.id == staying


async def test_a_keepalive_stream_ends_with_its_gateway_also_when_its_sessions_are_elsewhere(fleet: Fleet) -> None:
    gateways = await fleet.start(2)
    async with clients_of(gateways) as (there, stopping):
        session = (await there.new("run")).id
        async with stopping.keepalive_stream() as stream:
            await stream.renew(session)
            await asyncio.to_thread(gateways[1].stop)
            await refused(stream.receive(), "GATEWAY_DRAINING")


async def test_one_that_is_killed_and_started_again_has_its_sessions(fleet: Fleet) -> None:
    gateways = await fleet.start(2, takeover=20.0)
    async with clients_of(gateways) as (first, second):
        session = (await first.new("remember", {"text": "kept"})).id
        await second.run(session=session)
        gateways[0].kill()
        await refused(second.run(session=session), "GATEWAY_DRAINING", "NOT_STARTED")
        await asyncio.to_thread(gateways[0].start)
        answer = await accepted(lambda: second.run("recall", session=session))
        assert (answer.output["memory"], answer.session.call_count) == ("kept", 3)


async def test_sessions_whose_workers_nobody_reaches_are_told_lost_by_another(fleet: Fleet) -> None:
    gateways = await fleet.start(3, takeover=5.0)
    async with clients_of(gateways) as clients, clients[2].watch() as watch:
        session = (await clients[0].new("run")).id
        other = (await clients[1].new("run")).id
        gateways[0].kill()
        async with asyncio.timeout(DEADLINE):
            while (told_now := told(await watch.receive()))[0] != "WORKER_LOST":
                pass
        assert told_now == ("WORKER_LOST", session)
        await refused(clients[2].run(session=session), "SESSION_ENDED", "NOT_STARTED")
        assert (await clients[2].run(session=other)).output["calls"] == 2


async def test_one_that_was_stopped_for_too_long_runs_and_writes_nothing_of_what_others_have(fleet: Fleet) -> None:
    gateways = await fleet.start(2, takeover=5.0)
    async with clients_of(gateways) as (first, second):
        session = (await first.new("run")).id
        os.kill(gateways[0].pid, signal.SIGSTOP)
        try:
            async with second.watch() as watch:
                assert told(await watch.receive()) == ("WATCHING", "")
                assert told(await watch.receive()) == ("WORKER_LOST", session)
            ended = await second.get(session)
        finally:
            os.kill(gateways[0].pid, signal.SIGCONT)
        failed = await failure(first.run(session=session))
        assert failed.code in ("GATEWAY_DRAINING", "STORE_UNAVAILABLE", "SESSION_ENDED")
        assert failed.run_state == "NOT_STARTED"
        await eventually("it lets go of what others have", lambda: "lets go of them" in gateways[0].log)
        await accepted(lambda: first.new("run"))
        now = await second.get(session)
        assert (now.end_reason, now.call_count, now.ended_at) == (ended.end_reason, ended.call_count, ended.ended_at)


async def test_one_that_hangs_holds_up_nobody_who_asks_which_workers_are_ready(fleet: Fleet) -> None:
    # So long that the one that hangs is not taken for dead while the others are asked.
    gateways = await fleet.start(2, takeover=120.0)
    async with clients_of(gateways) as (first, second):
        session = (await first.new("run")).id
        await second.run(session=session)  # by then they know one another
        os.kill(gateways[0].pid, signal.SIGSTOP)
        try:
            app = (await second.unary(second.apps.GetApp, apps_pb2.GetAppRequest(app="probe"))).app
            assert app.name == "probe"
        finally:
            os.kill(gateways[0].pid, signal.SIGCONT)
        assert (await second.run(session=session)).output["calls"] == 3


async def test_a_live_session_is_never_told_unknown_when_the_records_are_deleted(fleet: Fleet) -> None:
    gateways = await fleet.start(3, takeover=20.0)
    async with clients_of(gateways) as clients:
        sessions = [(await client.new("run")).id for client in clients]
        for session in sessions:
            await asyncio.gather(*(client.run(session=session) for client in clients))
        reader, writer = await asyncio.open_unix_connection(fleet.redis.socket)
        writer.write(b"FLUSHALL\r\n")
        assert await reader.readline() == b"+OK\r\n"
        writer.close()
        until = time.monotonic() + 2.5  # longer than it takes each of them to notice
        while time.monotonic() < until:
            for client in clients:
                for session in sessions:
                    await accepted(partial(client.run, session=session))
