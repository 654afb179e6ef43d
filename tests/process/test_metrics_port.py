"""Whatever comes to the port of the metrics, the gateway goes on and the next scrape is answered."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from gateway.testing.process import GatewayProcess
from tests.process.observe import DEADLINE
from tests.process.scraping import address, scraped, sent
from tests.scenarios.client import connected
from tests.scenarios.conftest import PROBE


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    flags = ("--metrics-address", ":0", "--min-idle", "0")
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), {"probe": PROBE}, flags) as process:
        yield process


@pytest.fixture(autouse=True)
async def _unharmed(gateway: GatewayProcess) -> AsyncIterator[None]:
    async with connected(gateway.address) as client:
        opened = await client.new("run")
        yield
        assert (await client.run("run", session=opened.id)).output["calls"] == 2
        await client.end(opened.id)
    assert (await scraped(gateway)).total("sgw_serving") == 1
    assert "a scrape failed" not in gateway.log
    assert "Traceback" not in gateway.log


def test_without_a_host_it_is_on_loopback(gateway: GatewayProcess) -> None:
    assert address(gateway)[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /metrics/ HTTP/1.0\r\n\r\n", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"405 Method Not Allowed"),
        (b"GET /metrics\r\n\r\n", b"400 Bad Request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400 Bad Request"),
        (b"\0\xff\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\n" + b"x: " + b"y" * 20_000 + b"\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics?name[]=up HTTP/1.1\r\nAccept: */*\r\n\r\n", b"200 OK"),
    ],
)
async def test_a_request_is_answered_with_its_status(gateway: GatewayProcess, request_: bytes, status: bytes) -> None:
    assert (await sent(gateway, request_)).startswith(b"HTTP/1.1 " + status + b"\r\n")


async def test_head_is_answered_without_a_body(gateway: GatewayProcess) -> None:
    answer = await sent(gateway, b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


async def test_random_bytes_and_clients_that_leave_do_no_harm(gateway: GatewayProcess) -> None:
    dice = random.Random(6)
    for _ in range(50):
        async with asyncio.timeout(DEADLINE):
            _, writer = await asyncio.open_connection(*address(gateway))
            writer.write(dice.randbytes(dice.randrange(1, 2000)) + dice.choice([b"", b"\r\n\r\n"]))
            writer.transport.abort() if dice.random() < 0.5 else writer.close()


async def test_hundreds_of_half_requests_do_not_keep_a_scrape_away(gateway: GatewayProcess) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(300):
            async with asyncio.timeout(DEADLINE):
                _, writer = await asyncio.open_connection(*address(gateway))
            stack.callback(_abort, writer)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: gate")
        for _ in range(3):
            assert (await sent(gateway, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_clients_that_say_nothing_take_a_few_connections_and_not_for_long(gateway: GatewayProcess) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(DEADLINE):
        silent = []
        for _ in range(100):
            reader, writer = await asyncio.open_connection(*address(gateway))
            stack.callback(writer.close)
            silent.append(asyncio.create_task(_end_of(reader)))
        # The first ones keep theirs for some seconds, then the port is free again.
        ended, _ = await asyncio.wait(silent, return_when=asyncio.FIRST_COMPLETED)
        assert len(ended) <= 36
        await asyncio.gather(*silent)


async def _end_of(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""


async def test_one_that_does_not_read_what_it_asked_for_holds_up_nobody(gateway: GatewayProcess) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(8):
            _, writer = await asyncio.open_connection(*address(gateway), limit=1)
            stack.callback(_abort, writer)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        for _ in range(5):
            assert (await scraped(gateway)).total("sgw_processes") == 1


def _abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
