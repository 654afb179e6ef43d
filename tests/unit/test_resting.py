"""The rest of a main thread that is woken up again and again: real processes, and a loop such as Ray's."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.testing.waiting import DEADLINE

LOOP = """
import signal, sys, threading, time
from gateway.workers.ray import resting
{before}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
rest = resting.MainThreadRest()
rest.begin()
rest.begin()
{after}
while True:
    time.sleep(0.001)
"""

COUNTING = """
depth = deepest = rests = 0
def counted(seconds, sleep=time.sleep):
    global depth, deepest, rests
    depth, rests = depth + 1, rests + 1
    deepest = max(deepest, depth)
    sleep(0.0001)
    for _ in range(50):
        pass  # where a signal that is pending would be handled
    depth -= 1
    if rests == 500:
        print(deepest, sum(thread.name == "rest" for thread in threading.enumerate()), flush=True)
        sys.exit(0)
resting.MainThreadRest._rest.__globals__["time"] = type("time", (), {"sleep": staticmethod(
    lambda seconds: counted(seconds) if threading.current_thread() is threading.main_thread() else None)})
"""

SAYING = """
real, resting.ACTOR_REST = time.sleep, 3600.0
def said(seconds):
    if seconds == 3600.0:
        print("rests", flush=True)
    real(seconds)
resting.time = type("time", (), {"sleep": staticmethod(said)})
"""


@contextmanager
def running(source: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_signal_ends_the_rest_and_its_own_handler_decides() -> None:
    with running(LOOP.format(before=SAYING, after="")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "rests\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 7


def test_no_rest_begins_inside_another_and_one_thread_sees_to_them() -> None:
    with running(LOOP.format(before=COUNTING, after="")) as process:
        assert process.communicate(timeout=DEADLINE)[0] == "1 1\n"


def test_made_on_another_thread_it_leaves_all_as_it_is() -> None:
    made = """
import threading
from gateway.workers.ray import resting
rests = []
thread = threading.Thread(target=lambda: rests.append(resting.MainThreadRest()))
thread.start()
thread.join()
rests[0].begin()
print(threading.active_count())
"""
    with running(made) as process:
        assert process.communicate(timeout=DEADLINE)[0] == "1\n"
