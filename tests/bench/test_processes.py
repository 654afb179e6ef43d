"""What is read from /proc, and what is written to etcd."""

import os
import subprocess
import sys

import pytest
from google.protobuf import wrappers_pb2

from bench.processes import descendants, private_bytes, private_memory, stopped, tree_memory
from bench.yardsticks.etcd import field, varint

SMAPS = """\
00400000-7fff00000000 ---p 00000000 00:00 0    [rollup]
Rss:               9000 kB
Pss:               5000 kB
Shared_Clean:      3000 kB
Private_Clean:     1000 kB
Private_Dirty:     2000 kB
"""


def test_private_memory_is_what_is_shared_with_nobody() -> None:
    assert private_bytes(SMAPS) == 3000 * 1024


def test_a_process_that_is_gone_takes_no_memory() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert private_memory(gone.pid) == 0


def test_a_child_of_a_child_descends_from_its_grandparent() -> None:
    code = "import subprocess, sys; c = subprocess.Popen(['cat'], stdin=sys.stdin); print(c.pid, flush=True); c.wait()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert {child.pid, grandchild} <= descendants(os.getpid())
        assert grandchild in descendants(child.pid)
        assert tree_memory(child.pid) >= private_memory(child.pid) > 0
        child.stdin.close()


def test_processes_are_stopped_for_a_while_and_go_on() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        with stopped([child.pid]):
            _, status = os.waitpid(child.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
        _, status = os.waitpid(child.pid, os.WCONTINUED)
        assert os.WIFCONTINUED(status)
        assert child.communicate(b"there")[0] == b"there"


@pytest.mark.parametrize("value", [1, 127, 128, 300, 2**40])
def test_numbers_are_written_as_protobuf_writes_them(value: int) -> None:
    assert field(1, value) == wrappers_pb2.UInt64Value(value=value).SerializeToString()
    assert varint(value) == field(1, value)[1:]
