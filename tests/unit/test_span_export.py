"""Spans on their way to a collector: what is lost is told, and nothing is held up."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from gateway.testing.waiting import until
from gateway.tracing.export import BATCH, MAX_QUEUE, Exporting


class Collector:
    """An exporter that keeps what it is given, and can be made to fail or to hang."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.answer: bool | Exception = True
        self.open = threading.Event()
        self.open.set()
        self.shut = False

    def export(self, spans: Sequence[Any]) -> bool:
        self.open.wait(20.0)
        self.batches.append(list(spans))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def shutdown(self) -> None:
        self.shut = True
        self.open.set()

    def has_had(self, batches: int) -> bool:
        return len(self.batches) == batches

    @property
    def spans(self) -> list[Any]:
        return [span for batch in self.batches for span in batch]


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gateway.tracing")


async def test_spans_are_sent_in_order_in_batches_of_a_bounded_size() -> None:
    collector = Collector()
    exporting = Exporting("grpc://a:1", collector)
    exporting.start()
    for number in range(3 * BATCH + 1):
        exporting.put(number)
    await exporting.close()
    assert collector.spans == list(range(3 * BATCH + 1))
    assert max(map(len, collector.batches)) == BATCH
    assert collector.shut


async def test_few_spans_do_not_wait_for_more() -> None:
    collector = Collector()
    exporting = Exporting("grpc://a:1", collector)
    exporting.start()
    exporting.put("one")
    await until(lambda: collector.spans, 10.0)
    await exporting.close()


async def test_of_more_than_may_wait_the_oldest_are_lost_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector()
    exporting = Exporting("grpc://a:1", collector)
    for number in range(MAX_QUEUE + 5):
        exporting.put(number)
    exporting.start()
    await exporting.close()
    assert collector.spans == list(range(5, MAX_QUEUE + 5))
    assert "5 spans were lost" in caplog.text


@pytest.mark.parametrize("answer", [False, OSError("no such host")])
async def test_a_collector_that_fails_is_complained_of_once_until_it_works_again(
    caplog: pytest.LogCaptureFixture, answer: bool | Exception
) -> None:
    collector = Collector()
    exporting = Exporting("grpc://a:1", collector)
    exporting.start()
    collector.answer = answer
    for count in (1, 2, 3):
        for number in range(BATCH):
            exporting.put(number)
        await until(partial(collector.has_had, count), 10.0)
    collector.answer = True
    exporting.put("last")
    await until(lambda: "again" in caplog.text, 10.0)
    await exporting.close()
    assert caplog.text.count("does not take spans") == 1
    assert f"takes spans again; {3 * BATCH} were lost" in caplog.text
    assert "were lost, which" not in caplog.text


async def test_a_collector_that_hangs_does_not_hold_up_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector = Collector()
    collector.open.clear()
    exporting = Exporting("grpc://a:1", collector, patience=0.05)
    exporting.start()
    for number in range(BATCH + 1):
        exporting.put(number)
    async with asyncio.timeout(10.0):
        await exporting.close()
    assert collector.shut
    assert f"{BATCH + 1} spans were lost" in caplog.text
