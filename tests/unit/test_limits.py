"""Limits: how `app.toml` says them, how they are kept for later, and how what they are about is measured."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from gateway import timing
from gateway.apps.limits import MIN_MEMORY
from gateway.apps.manifest import AppDirectoryError, app_version, read_manifest
from gateway.model import LIMIT_REASONS, TRANSITIONS, AppRef, AppVersion, Limits, SessionStatus, new_worker_id
from gateway.testing.waiting import exists
from gateway.worker.family import end_families, mark, mark_of, members
from gateway.worker.limits import ROOM_TO_ANSWER
from gateway.workers.records import app_text, read_app
from gateway.workers.watch import size_of

GIB = 1024**3


@pytest.fixture
def app(tmp_path: Path) -> Path:
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "app.py").write_text("")
    return directory


def limits_of(app: Path, *lines: str) -> Limits:
    (app / "app.toml").write_text("\n".join(["[limits]", *lines]))
    return app_version("app", "1", app).limits


def test_an_app_that_says_nothing_has_no_limits(app: Path) -> None:
    assert app_version("app", "1", app).limits == Limits() == limits_of(app)


def test_every_limit_can_be_set(app: Path) -> None:
    limits = limits_of(
        app,
        'memory = "1GiB"',
        "open_files = 100",
        "processes = 0",
        "disk = 1000000",
        "call = 1.5",
        "max_lifetime = 60",
    )
    assert limits == Limits(GIB, 100, 0, 1_000_000, 1.5, 60.0)


@pytest.mark.parametrize(
    ("text", "size"),
    [("65536B", 65536), ("512KiB", 524288), ("3 MiB", 3145728), ("2GiB", 2 * GIB), ("1TiB", 1024 * GIB)],
)
def test_a_size_may_be_text_with_a_unit(app: Path, text: str, size: int) -> None:
    assert limits_of(app, f'disk = "{text}"').disk == size


@pytest.mark.parametrize(
    "line",
    [
        'memory = "512"',
        'memory = "512MB"',
        'memory = "-1MiB"',
        'memory = "1.5GiB"',
        'memory = "999999999999TiB"',
        "memory = 1e9",
        f"memory = {MIN_MEMORY - 1}",
        "open_files = 3",
        'open_files = "100"',
        "processes = -1",
        "processes = true",
        'disk = "1KiB"',
        "call = 0",
        "call = inf",
        'call = "1s"',
        "max_lifetime = nan",
        "max_lifetime = -5",
        "cpu = 1",
    ],
)
def test_what_is_no_limit_is_refused_by_its_name(app: Path, line: str) -> None:
    with pytest.raises(AppDirectoryError, match=f"limits.{line.split(maxsplit=1)[0]}: "):
        limits_of(app, line)


def test_all_mistakes_are_told_at_once(app: Path) -> None:
    (app / "app.toml").write_text('concurrency = 0\n[limits]\nmemory = "1KiB"\ncall = 0\nnone = 1\n')
    with pytest.raises(AppDirectoryError) as caught:
        read_manifest(app)
    assert all(name in str(caught.value) for name in ("concurrency: ", "limits.memory: ", "limits.call: "))
    assert "limits.none: " in str(caught.value)


def test_a_worker_keeps_the_limits_that_it_was_started_with(tmp_path: Path) -> None:
    app = AppVersion(AppRef("app", "1"), tmp_path, limits=Limits(memory=GIB, call=2.5))
    (tmp_path / "app.json").write_text(app_text(app, ["run"]), encoding="utf-8")
    assert read_app(tmp_path / "app.json") == (app, frozenset({"run"}))


def test_a_worker_that_was_started_before_there_were_limits_has_none(tmp_path: Path) -> None:
    (tmp_path / "app.json").write_text(app_text(AppVersion(AppRef("app", "1"), tmp_path), ["run"]), encoding="utf-8")
    fields = json.loads((tmp_path / "app.json").read_text())
    del fields["limits"]
    (tmp_path / "app.json").write_text(json.dumps(fields))
    read = read_app(tmp_path / "app.json")
    assert read is not None
    assert read[0].limits == Limits()


def test_every_limit_for_which_a_worker_is_killed_ends_its_session_for_a_reason_of_its_own() -> None:
    assert set(LIMIT_REASONS) <= set(asdict(Limits()))
    assert len(set(LIMIT_REASONS.values())) == len(LIMIT_REASONS)
    assert all(TRANSITIONS[SessionStatus.ACTIVE, reason] is SessionStatus.ENDED for reason in LIMIT_REASONS.values())


def test_the_least_memory_leaves_functions_most_of_it() -> None:
    assert MIN_MEMORY >= 4 * ROOM_TO_ANSWER


def test_processes_are_counted_often_enough_to_be_few_and_files_less_often() -> None:
    assert timing.FAMILY_WATCH <= timing.DISK_WATCH < timing.CALL_LIMIT_GRACE


class TestSizes:
    def write(self, path: Path, size: int) -> None:
        path.write_bytes(os.urandom(size))

    def test_files_of_all_directories_and_those_below_are_added_up(self, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        (first / "below" / "more").mkdir(parents=True)
        second.mkdir()
        before = size_of((first, second), GIB)
        for place in (first, first / "below" / "more", second):
            self.write(place / "file", 100_000)
        size = size_of((first, second), GIB) - before
        assert 300_000 <= size < 400_000

    def test_a_file_with_many_names_counts_once(self, tmp_path: Path) -> None:
        self.write(tmp_path / "file", 100_000)
        before = size_of((tmp_path,), GIB)
        for number in range(10):
            (tmp_path / f"name{number}").hardlink_to(tmp_path / "file")
        assert size_of((tmp_path,), GIB) == before

    def test_links_are_not_followed(self, tmp_path: Path) -> None:
        inside, outside = tmp_path / "inside", tmp_path / "outside"
        inside.mkdir()
        outside.mkdir()
        self.write(outside / "file", 100_000)
        (inside / "file").symlink_to(outside / "file")
        (inside / "directory").symlink_to(outside)
        (inside / "circle").symlink_to(inside)
        assert size_of((inside,), GIB) < 20_000

    def test_holes_do_not_count_and_empty_files_do(self, tmp_path: Path) -> None:
        with (tmp_path / "hole").open("wb") as file:
            file.truncate(GIB)
        assert 0 < size_of((tmp_path,), GIB) < 100_000

    def test_what_is_not_there_takes_nothing(self, tmp_path: Path) -> None:
        assert size_of((tmp_path / "gone",), GIB) == 0

    def test_nothing_is_counted_beyond_what_is_enough(self, tmp_path: Path) -> None:
        for number in range(5):
            (tmp_path / f"below{number}").mkdir()
            self.write(tmp_path / f"below{number}" / "file", 1_000_000)
        assert 2_000_000 < size_of((tmp_path,), 2_000_000) < 4_000_000


class TestFamilies:
    """Processes that carry the mark of a worker."""

    @pytest.fixture
    def start(self) -> Iterator[Callable[[str, str], int]]:
        """Start a process of a worker's family, and wait until it runs: `start(worker_id, code)` gives its id."""
        started: list[subprocess.Popen[bytes]] = []
        marks: set[int] = set()

        def start(worker_id: str, code: str) -> int:
            marks.add(mark_of(worker_id))
            process = subprocess.Popen(
                [sys.executable, "-S", "-c", f"print(flush=True)\n{code}"],
                stdout=subprocess.PIPE,
                env={},
                preexec_fn=lambda: mark(worker_id),  # noqa: PLW1509 - this is a process without threads
            )
            started.append(process)
            assert process.stdout is not None
            process.stdout.readline()
            return process.pid

        yield start
        end_families(marks)
        for process in started:
            process.communicate()

    def test_two_workers_have_two_marks_and_no_process_has_one_by_itself(self) -> None:
        first, second = new_worker_id(), new_worker_id()
        assert mark_of(first) != mark_of(second)
        assert list(members({mark_of(first), mark_of(second), 0, -1})) == []

    def test_a_family_is_found_and_killed_and_others_are_left_alone(self, start: Callable[[str, str], int]) -> None:
        first, second, pause = new_worker_id(), new_worker_id(), "import signal; signal.pause()"
        pid, other = start(first, pause), start(second, pause)
        assert list(members({mark_of(first)})) == [(pid, mark_of(first))]
        assert end_families({mark_of(first)})
        assert not exists(pid)
        assert end_families({mark_of(second)}, spare=other)
        assert exists(other)

    def test_a_family_that_never_stops_forking_is_killed_all_the_same(self, start: Callable[[str, str], int]) -> None:
        """Each process is in a session of its own, lives for a moment, and leaves two in its place."""
        worker_id = new_worker_id()
        code = (
            "import os, time\n"
            "until = time.monotonic() + 15\n"
            "while time.monotonic() < until:\n"
            "    os.setsid() if os.getpgid(0) != os.getpid() else None\n"
            "    if os.fork() and os.fork():\n"
            "        os._exit(0)\n"
            "    time.sleep(0.05)\n"
        )
        start(worker_id, code)
        seen = 0
        while seen < 30:
            seen = len(list(members({mark_of(worker_id)})))
            assert seen, "it died out"
        assert end_families({mark_of(worker_id)})
        assert not [pid for pid, _ in members({mark_of(worker_id)}) if exists(pid)]
