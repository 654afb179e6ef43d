"""What a watch tells, on both kinds of gateway (contract, "Watching")."""

from contextlib import AsyncExitStack

from sessiongateway.v1 import errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import Client, failure, told
from tests.scenarios.conftest import StartGateway, new_key
from tests.scenarios.failures import refused

WATCHING = ("WATCHING", "")


async def test_a_watch_says_at_once_that_it_stands_and_then_what_happens_in_its_order(client: Client) -> None:
    async with client.watch() as watch:
        first = await watch.receive()
        assert (told(first), first.HasField("session")) == (WATCHING, False)
        assert first.resume_token
        ended, lost = (await client.new("run")).id, (await client.new("run")).id
        await client.end(ended)
        await refused(client.run("die", {"signal": 9}, session=lost), "WORKER_LOST", "UNKNOWN")
        assert await watch.events(4) == [("CREATED", ended), ("CREATED", lost), ("ENDED", ended), ("WORKER_LOST", lost)]


async def test_an_expiry_is_told_with_the_session_and_its_time(client: Client) -> None:
    async with client.watch() as watch:
        await watch.receive()
        opened = await client.new("run", session_timeout=1)
        assert await watch.events(1) == [("CREATED", opened.id)]
        event = await watch.receive()
        assert told(event) == ("EXPIRED", opened.id)
        assert event.session == await client.get(opened.id)
        assert event.session.end_reason == errors_pb2.END_REASON_IDLE_TIMEOUT
        assert event.occurred_at == event.session.ended_at


async def test_an_event_has_the_session_as_it_was_and_reads_the_same_each_time(client: Client) -> None:
    async with client.watch() as watch:
        start = (await watch.receive()).resume_token
        opened = await client.new("run", session_timeout=300)
        for _ in range(2):
            await client.run("run", session=opened.id)
        last = await client.end(opened.id)
        events = [await watch.receive() for _ in range(2)]
    created, ended = events
    assert (created.session.status, created.session.call_count) == (pb.SESSION_STATUS_ACTIVE, 1)
    assert (created.session.expires_in.ToSeconds(), created.occurred_at) == (300, created.session.created_at)
    assert ended.session == last
    async with client.watch(start) as again:
        await again.receive()
        assert [await again.receive() for _ in range(2)] == events


async def test_a_first_call_that_fails_is_a_session_that_begins_and_ends(client: Client) -> None:
    async with client.watch() as watch:
        await watch.receive()
        refusal = await failure(client.new("fail"))
        id = refusal.detail.session_id
        assert await watch.events(2) == [("CREATED", id), ("ENDED", id)]


async def test_only_the_owners_sessions_show(client: Client) -> None:
    stranger = client.as_caller(new_key())
    async with client.watch() as watch, stranger.watch() as theirs:
        assert await watch.events(1) == await theirs.events(1) == [WATCHING]
        mine = await client.new("run")
        await client.end(mine.id)
        other = await stranger.new("run")
        assert await theirs.events(1) == [("CREATED", other.id)]
        assert await watch.events(2) == [("CREATED", mine.id), ("ENDED", mine.id)]
        own = (await client.new("run")).id
        assert await watch.events(1) == [("CREATED", own)]


async def test_a_watch_can_be_of_one_app_or_version(client: Client) -> None:
    version = (await client.new("run")).session.version
    async with AsyncExitStack() as stack:
        by_name, by_version, other, old = [
            await stack.enter_async_context(client.watch(app=app))
            for app in ("probe", f"probe@{version}", "other", "probe@0")
        ]
        for watch in (by_name, by_version, other, old):
            assert await watch.events(1) == [WATCHING]
        left = await client.new("run", app="other")
        right = await client.new("run")
        assert await by_name.events(1) == await by_version.events(1) == [("CREATED", right.id)]
        assert await other.events(1) == [("CREATED", left.id)]


async def test_a_watch_goes_on_behind_the_last_message_that_was_read(client: Client) -> None:
    async with client.watch() as watch:
        await watch.receive()
        ids = [(await client.new("run")).id for _ in range(3)]
        messages = [await watch.receive() for _ in range(2)]
    await client.end(ids[0])
    expected = [("CREATED", ids[1]), ("CREATED", ids[2]), ("ENDED", ids[0])]
    for number, message in enumerate(messages, start=1):
        async with client.watch(message.resume_token) as again:
            first = await again.receive()
            assert (told(first), first.resume_token) == (WATCHING, message.resume_token)
            assert await again.events(4 - number) == expected[number - 1 :]


async def test_two_watches_of_one_caller_see_the_same(client: Client) -> None:
    async with client.watch() as one, client.watch() as two:
        await one.receive()
        await two.receive()
        opened = (await client.new("run")).id
        await client.end(opened)
        expected = [("CREATED", opened), ("ENDED", opened)]
        assert await one.events(2) == await two.events(2) == expected


async def test_a_token_that_is_none_or_of_another_query_is_refused_with_its_field(client: Client) -> None:
    async with client.watch() as watch:
        token = (await watch.receive()).resume_token
    page = await client.list(page_size=1)
    stranger = client.as_caller(new_key())
    cases = [
        (client, "nonsense", ""),
        (client, token[:-1], ""),
        (client, token, "probe"),
        (client, page.next_page_token or "AAAA", ""),
        (stranger, token, ""),
    ]
    for caller, wrong, app in cases:
        async with caller.watch(wrong, app) as refused_watch:
            error = await refused(refused_watch.receive(), "INVALID_REQUEST")
            assert [field for field, _ in error.bad_request] == ["resume_token"]


async def test_an_app_that_is_no_name_is_refused(client: Client) -> None:
    for app in ("a b", "probe@latest"):
        async with client.watch(app=app) as watch:
            error = await refused(watch.receive(), "INVALID_REQUEST")
            assert [field for field, _ in error.bad_request] == ["app"]


async def test_a_token_of_a_watch_is_no_token_of_a_list(client: Client) -> None:
    async with client.watch() as watch:
        token = (await watch.receive()).resume_token
    error = await refused(client.list(page_token=token), "INVALID_REQUEST")
    assert [field for field, _ in error.bad_request] == ["page_token"]


async def test_a_list_that_is_read_while_a_watch_stands_and_the_watch_give_a_mirror(
    start_gateway: StartGateway,
) -> None:
    client = await start_gateway()
    kept, gone = (await client.new("run")).id, (await client.new("run")).id
    async with client.watch() as watch:
        await watch.receive()
        await client.end(gone)
        later = (await client.new("run")).id
        mirror = {session.id: session for session in (await client.list()).sessions}
        await client.end(later)
        for _ in range(3):
            session = (await watch.receive()).session
            known = mirror.get(session.id)
            if known is None or known.status == pb.SESSION_STATUS_ACTIVE:
                mirror[session.id] = session
    now = {session.id: session.status for session in (await client.list()).sessions}
    assert {id: session.status for id, session in mirror.items()} == now
    assert now[kept] == pb.SESSION_STATUS_ACTIVE
