"""What a page of sessions costs among very many records."""

import asyncio
import base64
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench import servers
from bench.client import DEADLINE, Client
from bench.context import Bench
from bench.figure import Figure, figure, ratios
from gateway.model import SESSION_ID_PREFIX, AppRef, EndReason, Session, SessionStatus
from gateway.rpc.callers import ANONYMOUS
from gateway.stores.sqlite import SqliteStore
from sessiongateway.v1 import sessions_pb2 as pb

MANY = 1_000_000
FEW = 1_000
PAGE = 50
_BATCH = 20_000


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the figure of a page, each from a walk through the newest records."""
    with tempfile.TemporaryDirectory(prefix="sgw-bench-") as directory:
        large, small = Path(directory) / "large", Path(directory) / "small"
        began = time.monotonic()
        for path, count in ((large, MANY), (small, FEW)):
            path.mkdir(mode=0o700)
            asyncio.run(_fill(path, count))
        bench.note(f"        {MANY:,} records written in {time.monotonic() - began:.0f} s")
        with (
            servers.gateway(data_dir=large) as ours,
            servers.gateway(data_dir=small) as theirs,
            Client(ours.address) as among_many,
            Client(theirs.address) as among_few,
        ):
            pairs = [(_page(among_many), _page(among_few)) for _ in range(3 * bench.settings.rounds)]
        many, few = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        yield figure("list_page", ratios(many, few), ms=statistics.median(many), yardstick_ms=statistics.median(few))


def _page(client: Client) -> float:
    """Return the median of the milliseconds of the first pages of a walk."""
    times = []
    token = ""
    for _ in range(15):
        began = time.perf_counter()
        request = pb.ListSessionsRequest(page_size=PAGE, page_token=token)
        page = client.sessions.ListSessions(request, timeout=DEADLINE)
        times.append(1000 * (time.perf_counter() - began))
        if len(page.sessions) != PAGE:
            raise ValueError(f"a page with {len(page.sessions)} sessions instead of {PAGE}")
        token = page.next_page_token
    return statistics.median(times)


async def _fill(data_dir: Path, count: int) -> None:
    """Write so many records of sessions that have just ended, with the store's own means."""
    store = SqliteStore(data_dir / "sessions.db")
    await store.open()
    try:
        records = _records(count)
        while batch := list(islice(records, _BATCH)):
            await store.restore(batch, 0.0)
    finally:
        await store.close()


def _records(count: int) -> Iterator[Session]:
    now = time.time()
    for _ in range(count):
        yield Session(
            id=SESSION_ID_PREFIX + _letters(),
            owner=ANONYMOUS,
            app=AppRef(servers.APP, "1"),
            worker_id=f"wrk_{_letters()[:16]}",
            epoch=1,
            timeout=60,
            created_at=now,
            expires_at=now + 60,
            deadline=0.0,
            status=SessionStatus.ENDED,
            end_reason=EndReason.CALLER,
            last_call_at=now,
            ended_at=now,
            call_count=1,
        )


def _letters() -> str:
    """Return the 26 random letters of an id, faster than ids are made where they must not be guessed."""
    return base64.b32encode(os.urandom(17))[:26].lower().decode()
