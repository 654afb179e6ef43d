"""Partial outputs between the worker's connection and whoever reads them."""

import asyncio

import pytest

from gateway.workers.partials import Partials


async def test_outputs_are_read_in_order_and_each_is_told_to_the_writer() -> None:
    partials, told = Partials(), list[bytes]()
    partials.attach(told.append, lambda: None)
    for output in (b"1", b"2", b"3"):
        partials.put(output)
    assert await anext(partials) == b"1"
    assert told == [b"1"]
    partials.finish()
    assert [output async for output in partials] == [b"2", b"3"]
    assert told == [b"1", b"2", b"3"]


async def test_a_reader_waits_for_the_next_output_and_for_the_end() -> None:
    partials = Partials()
    reading = asyncio.ensure_future(anext(partials))
    await asyncio.sleep(0)
    assert not reading.done()
    partials.put(b"late")
    assert await reading == b"late"
    ending = asyncio.ensure_future(anext(partials))
    await asyncio.sleep(0)
    assert not ending.done()
    partials.finish()
    with pytest.raises(StopAsyncIteration):
        await ending


async def test_without_a_reader_outputs_are_dropped_and_the_writer_is_told_once() -> None:
    partials, told = Partials(), list[str]()
    partials.attach(lambda _: None, lambda: told.append("gone"))
    partials.put(b"unread")
    partials.close()
    partials.close()
    partials.put(b"too late")
    assert partials.closed
    assert told == ["gone"]
    assert [output async for output in partials] == []
