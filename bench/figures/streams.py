"""Keeping sessions alive on streams, against etcd, which keeps leases alive the same way."""

import statistics
from collections.abc import Callable, Iterator, Sequence

from bench import servers
from bench.client import Opened, sessions
from bench.context import CALIBRATION, Bench
from bench.figure import Figure, figure, ratios
from bench.load import STREAM_KEEPALIVE, Plan, Slot
from bench.yardsticks.etcd import LEASE_KEEP_ALIVE, etcd, lease_slots
from sessiongateway.v1 import sessions_pb2 as pb

STREAMS = 16
"""Streams, each on behalf of one session or lease when a message has one id."""

MANY = 100
"""Ids in a message that has many."""

MANY_STREAMS = 8
"""Streams of such messages. Each has sessions of its own, and one message in flight: no session is renewed twice in one
step of the store."""

WINDOW = 16
"""Messages in flight per stream."""

_RENEWED = b"\x22"
"""How an answer begins that has nothing but sessions which were renewed: field 4. An error has another field first."""

_ID_IN_RENEWED = b"\x0a\x1fsess_"
"""How an id of 31 letters begins in RenewedSessions: field 1, its length, itself."""

Run = Callable[[], float]
"""One round, which returns ids per second."""


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the figures with one id per message and with many."""
    room = str(MANY * MANY_STREAMS + 16)
    with (
        etcd() as theirs,
        servers.gateway("--max-workers", room) as gateway,
        sessions(gateway.address, MANY * MANY_STREAMS) as opened,
    ):
        leases = _stream(bench, theirs, LEASE_KEEP_ALIVE, lease_slots(theirs, STREAMS), 1)
        one = _stream(bench, gateway.address, STREAM_KEEPALIVE, [_one(each) for each in opened[:STREAMS]], 1)
        parts = [many_ids(opened[start : start + MANY]) for start in range(0, len(opened), MANY)]
        many = _stream(bench, gateway.address, STREAM_KEEPALIVE, parts, MANY, window=1, joined=True)
        yield _figure(bench, "keepalive_one", one, leases)
        yield _figure(bench, "keepalive_many", many, leases)


def _figure(bench: Bench, name: str, ours: Run, theirs: Run) -> Figure:
    pairs = [(ours(), theirs()) for _ in range(bench.settings.rounds)]
    our, their = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return figure(
        name,
        ratios(our, their),
        ids_per_s=statistics.median(our),
        yardstick_ids_per_s=statistics.median(their),
    )


def _stream(
    bench: Bench,
    target: str,
    path: str,
    slots: Sequence[Slot],
    ids: int,
    *,
    window: int = WINDOW,
    joined: bool = False,
) -> Run:
    """Return a round of messages with so many ids each that it takes about the seconds of a round."""

    def played(messages: int) -> float:
        plan = Plan(
            target,
            slots,
            path,
            kind="bidi",
            requests=messages,
            warmup=len(slots),
            window=window,
            answers_per_message=ids,
            joined=joined,
        )
        return messages * ids / bench.load.run(plan).seconds

    rate = played(max(STREAMS, CALIBRATION // ids))
    messages = max(STREAMS, round(rate / ids * bench.settings.seconds))
    return lambda: played(messages)


def _one(opened: Opened) -> Slot:
    request = pb.StreamKeepaliveRequest(session_ids=[opened.session.id])
    # The worker is in the session and in no error.
    return Slot(request.SerializeToString(), opened.session.worker_id.encode())


def many_ids(opened: Sequence[Opened]) -> Slot:
    """Return the message that keeps all of these sessions alive at once."""
    request = pb.StreamKeepaliveRequest(session_ids=[each.session.id for each in opened], batch=True)
    return Slot(request.SerializeToString(), _ID_IN_RENEWED, begins=_RENEWED)
