"""Which children of a process carry the mark of a worker that has died."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.worker.family import mark_of, orphaned_marks

CHILD = "from gateway.worker.family import mark; mark('wrk_a'); print('marked', flush=True); input()"


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_a_child_that_carries_the_mark_of_one_of_the_dead_is_found(child: int) -> None:
    assert orphaned_marks(["wrk_b", "wrk_a"], ()) == {mark_of("wrk_a")}


def test_a_child_with_the_mark_of_another_is_none_of_theirs(child: int) -> None:
    assert orphaned_marks(["wrk_b"], ()) == frozenset()


def test_a_child_that_is_a_worker_itself_is_not_looked_at(child: int) -> None:
    assert orphaned_marks(["wrk_a"], {child}) == frozenset()
