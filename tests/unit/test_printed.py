"""Lines that calls print: marked where they are written, and told apart where they are logged."""

import asyncio
import io
import logging
import os
from contextvars import copy_context
from typing import Any

import pytest

from gateway.testing.clock import FakeClock
from gateway.testing.waiting import until
from gateway.worker.printed import PrintedByCalls
from gateway.workers.frames import mark_of_call, unmarked
from gateway.workers.output import MAX_LINE, OutputReader
from sessiongateway.app import CallContext, _current

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
A, B = "\x1ecall_a\x1f", f"\x1ecall_b {TRACE}\x1f"


def as_call(stream: PrintedByCalls, context: CallContext | None, *texts: str) -> None:
    """Write texts as a call does, or outside of any."""

    def write() -> None:
        if context is not None:
            _current.set(context)
        for text in texts:
            assert stream.write(text) == len(text)

    copy_context().run(write)


@pytest.mark.parametrize(
    ("texts", "written"),
    [
        (["one\n"], f"{A}one\n"),
        (["one\ntwo\n\n", "three"], f"{A}one\n{A}two\n{A}\n{A}three"),
        (["a ", "", "piece", "\n", "next\n"], f"{A}a piece\n{A}next\n"),
        (["\n"], f"{A}\n"),
    ],
)
def test_each_line_of_a_call_has_one_mark_where_it_begins(texts: list[str], written: str) -> None:
    buffer = io.BytesIO()
    stream = PrintedByCalls(buffer, encoding="utf-8", newline="", write_through=True)
    as_call(stream, CallContext("call_a", "", None), *texts)
    assert buffer.getvalue().decode() == written


def test_outside_of_calls_nothing_is_marked_and_a_line_is_of_the_call_that_began_it() -> None:
    buffer = io.BytesIO()
    stream = PrintedByCalls(buffer, encoding="utf-8", newline="", write_through=True)
    as_call(stream, None, "setup\n")
    as_call(stream, CallContext("call_a", "", None), "half")
    as_call(stream, CallContext("call_b", "", None, f"00-{TRACE}-00f067aa0ba902b7-01"), "and half\nmine\n")
    assert buffer.getvalue().decode() == f"setup\n{A}halfand half\n{B}mine\n"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"plain", (b"plain", "", "")),
        (f"{A}text".encode(), (b"text", "call_a", "")),
        (f"{B}te{A}xt".encode(), (b"text", "call_b", TRACE)),
        (b"\x1ecall_A\x1ftext", (b"\x1ecall_A\x1ftext", "", "")),
        (b"\x1ecall_a text", (b"\x1ecall_a text", "", "")),
        (b"\x1ecall_" + b"a" * 99 + b"\x1f", (b"\x1ecall_" + b"a" * 99 + b"\x1f", "", "")),
    ],
)
def test_marks_are_taken_off_and_what_only_looks_like_one_stays(line: bytes, found: tuple[bytes, str, str]) -> None:
    assert unmarked(line) == found


async def test_a_long_line_that_is_logged_in_pieces_is_of_its_call_in_all_of_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="gateway.output")
    reading, writing = os.pipe2(os.O_NONBLOCK)
    output = OutputReader(reading, FakeClock(), 1_000_000, {"session_id": "sess_a"})
    try:
        mark = mark_of_call("call_b", TRACE).encode()
        for part in (mark + b"x" * 2 * MAX_LINE, b"x" * 2 * MAX_LINE, b"end\n", b"of nobody\n"):
            os.write(writing, part)
            await asyncio.sleep(0)
        await until(lambda: any(record.message == "of nobody" for record in caplog.records), 10.0)
    finally:
        output.close()
        os.close(writing)
    *pieces, last = caplog.records
    assert "".join(record.message for record in pieces) == "x" * 4 * MAX_LINE + "end"
    assert {labels(record) for record in pieces} == {("sess_a", "call_b", TRACE)}
    assert labels(last) == ("sess_a", None, None)


def labels(record: Any) -> tuple[str, str | None, str | None]:
    return record.session_id, getattr(record, "call_id", None), getattr(record, "trace_id", None)
