"""What a caller sends of a trace: the rules of W3C Trace Context and Baggage."""

import pytest

from gateway.rpc.peers.wire import CallFrame, Flag, pack_call, unpack_call
from gateway.trace import MAX_LENGTH, TraceContext, trace_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def read(*metadata: tuple[str, str | bytes]) -> tuple[str, str, str] | None:
    found = trace_of((("user-agent", "test"), *metadata))
    return None if found is None else (found.traceparent, found.tracestate, found.baggage)


def parent(value: str) -> str | None:
    found = trace_of([("traceparent", value)])
    return None if found is None else found.traceparent


def state(*values: str) -> str:
    found = read(("traceparent", PARENT), *(("tracestate", value) for value in values))
    assert found is not None
    return found[1]


def test_nothing_is_made_of_metadata_without_a_trace() -> None:
    assert read() is None
    assert trace_of(None) is None


def test_a_traceparent_is_passed_on_as_it_is_with_its_trace() -> None:
    found = trace_of([("traceparent", f" {PARENT} ")])
    assert found is not None
    assert (found.traceparent, found.trace_id) == (PARENT, TRACE)
    assert parent(f"00-{TRACE}-{SPAN}-ff") == f"00-{TRACE}-{SPAN}-ff"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "garbage",
        PARENT.upper(),
        PARENT + "-more",
        PARENT[:-1],
        PARENT + "\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01x",
    ],
)
def test_a_traceparent_that_is_none_was_never_sent_nor_was_its_state(value: str) -> None:
    assert read(("traceparent", value), ("tracestate", "a=1")) is None


def test_two_of_them_are_none() -> None:
    assert read(("traceparent", PARENT), ("traceparent", PARENT)) is None


def test_of_a_later_version_only_what_is_known_is_passed_on() -> None:
    assert parent(f"cc-{TRACE}-{SPAN}-ff-what.is-to.come") == f"00-{TRACE}-{SPAN}-03"
    assert parent(f"01-{TRACE}-{SPAN}-01") == PARENT


def test_lists_in_several_pieces_are_one() -> None:
    assert state("a=1, b@c=2", "", " d=3 ") == "a=1,b@c=2,d=3"
    assert read(("baggage", "a=1"), ("baggage", "b=2")) == ("", "", "a=1,b=2")


@pytest.mark.parametrize(
    "value",
    [
        *("a", "A=1", "a=1=2", "a=1,a=2", "a=ü", "a=", "@a=1", "a=1,b", "a=" + "x" * MAX_LENGTH),
        ",".join(f"k{n}=1" for n in range(33)),
    ],
)
def test_a_tracestate_that_is_wrong_is_dropped_and_the_parent_kept(value: str) -> None:
    assert read(("traceparent", PARENT), ("tracestate", value)) == (PARENT, "", "")


def test_as_many_members_as_there_may_be_are_kept() -> None:
    value = ",".join(f"k{n}=1" for n in range(32))
    assert state(value) == value


@pytest.mark.parametrize("value", ["a=\n", "a=ü", "a=" + "x" * MAX_LENGTH, ""])
def test_baggage_that_cannot_be_passed_on_is_dropped(value: str) -> None:
    assert read(("traceparent", PARENT), ("baggage", value)) == (PARENT, "", "")
    assert read(("baggage", value)) is None


@pytest.mark.parametrize("context", [None, TraceContext(PARENT, "a=1", "b=2"), TraceContext("", "", "b=2")])
def test_another_process_gets_all_of_it(context: TraceContext | None) -> None:
    frame = CallFrame(3, Flag.PLAIN, 1.5, "key:ä", b"data", admin=True, trace=context)
    got = unpack_call(pack_call(frame) + frame.data)
    assert got[:-1] == frame[:-1]
    assert (got.trace and got.trace.pack()) == (context and context.pack())
