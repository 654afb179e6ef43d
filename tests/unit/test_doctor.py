"""Each check of `sgw doctor` by itself: when all is well, and when it is not."""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from gateway.config import Settings, read
from gateway.data_directory import only_one
from gateway.doctor import directory, machine, software
from gateway.doctor.apps import apps
from gateway.doctor.examination import Subject, examine
from gateway.doctor.finding import Finding, Status
from gateway.doctor.live import Caller, clock
from gateway.doctor.ray import ray
from gateway.doctor.store import holder, store
from gateway.ray_settings import RaySettings
from gateway.stores.sqlite import SCHEMA_VERSION, SqliteStore
from sessiongateway import SessionInfo
from tests.scenarios.witness import APPS, STEADY

BROKEN = APPS / "broken_import"


def versions(**found: str) -> Callable[[str], str]:
    """Return what tells the versions of these packages, and knows no others."""

    def version(name: str) -> str:
        if name not in found:
            raise PackageNotFoundError(name)
        return found[name]

    return version


def statuses(findings: Iterable[Finding]) -> list[Status]:
    return [finding.status for finding in findings]


def check(finding: Finding, status: Status, *words: str) -> None:
    """Assert what is found, and that a mistake comes with something to do, each in one line."""
    assert finding.status is status, finding
    text = f"{finding.message} {finding.do}"
    assert [word for word in words if word not in text] == []
    assert bool(finding.do) is (status in (Status.WARNING, Status.FAILED))
    assert "\n" not in text


def test_python_is_new_enough_or_not() -> None:
    check(software.python(), Status.OK)
    check(software.python((3, 10, 9)), Status.FAILED, "3.10.9", "3.11")


def test_the_packages_of_this_installation_are_right() -> None:
    assert statuses(software.packages()) == [Status.OK]


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ({"a-b": "1.5.2"}, Status.OK, ["a-b 1.5.2"]),
        ({}, Status.FAILED, ["a-b is not installed", "pip install 'a-b>=1.5,<2'"]),
        ({"a-b": "1.4.9"}, Status.FAILED, ["1.4.9 is not >=1.5,<2"]),
        ({"a-b": "2.0"}, Status.FAILED, ["2.0 is not"]),
        ({"a-b": "1.6"}, Status.WARNING, ["the lock file has 1.5.2", "pip install 'a-b==1.5.2'"]),
    ],
)
def test_a_package_that_is_missing_or_of_another_version_is_told(
    found: dict[str, str], status: Status, words: list[str]
) -> None:
    required = {"session-gateway": ["a-b[x]>=1.5,<2", 'other>=1; extra == "more"']}
    (finding,) = software.packages([], required.get, versions(**found), {"a-b": "1.5.2"})
    check(finding, status, *words)


def test_packages_of_an_extra_are_looked_at_where_the_settings_need_it() -> None:
    required = {
        "session-gateway": ['tokens[safe]>=2; extra == "jwt"', 'spans>=1; extra == "tracing"'],
        "tokens": ["basic>=1", "ciphers>=3; extra == 'safe'", "docs; extra == 'docs'"],
    }
    found = versions(tokens="2.1", basic="1", ciphers="3.0", spans="1.4")
    (finding,) = software.packages(["jwt"], required.get, found, {})
    assert finding.message == "tokens 2.1, ciphers 3.0"
    (finding,) = software.packages(["jwt", "tracing"], required.get, found, {})
    assert finding.message == "tokens 2.1, ciphers 3.0, spans 1.4"
    missing = list(software.packages(["jwt"], required.get, versions(), {}))
    for finding, name in zip(missing, ("tokens", "ciphers"), strict=True):
        check(finding, Status.FAILED, f"{name} is not installed", "pip install 'session-gateway[jwt]'")


def test_tokens_and_traces_need_extras_whose_packages_are_named() -> None:
    assert software.extras_of(Settings()) == []
    auth = {"jwt_issuer": "https://a.example/", "jwt_audience": "b", "jwt_jwks_file": "/jwks.json"}
    wanted = Settings.model_validate({"auth": auth, "tracing": {"endpoint": "grpc://127.0.0.1:4317"}})
    assert software.extras_of(wanted) == ["jwt", "tracing"]
    (finding,) = software.packages(software.extras_of(wanted))
    check(finding, Status.OK, "pyjwt ", "cryptography ", "opentelemetry-sdk ")


def test_a_transport_that_was_not_built_is_told_as_it_matters() -> None:
    check(software.transport("auto", None), Status.OK)
    check(software.transport("grpcio", "no module"), Status.OK)
    check(software.transport("auto", "no module"), Status.WARNING, "no module", "libnghttp2-dev")
    check(software.transport("nghttp2", "no module"), Status.FAILED, "server.transport")


def test_a_kernel_without_a_feature_is_told() -> None:
    def missing() -> None:
        raise OSError(38, "Function not implemented")

    check(machine.kernel(), Status.OK)
    check(machine.kernel({"pidfd": missing, "/proc": lambda: None}), Status.FAILED, "pidfd (Function not implemented)")


@pytest.mark.parametrize(("limit", "status"), [(556, Status.OK), (555, Status.WARNING), (-1, Status.OK)])
def test_open_files_must_suffice_for_all_workers(limit: int, status: Status) -> None:
    check(machine.open_files(100, limit), status, "100 workers need 556")


def test_of_workers_elsewhere_only_the_connections_are_counted() -> None:
    check(machine.open_files(100, 356, elsewhere=True), Status.OK, "connections to 100 workers", "356")
    check(machine.open_files(100, 355, elsewhere=True), Status.WARNING, "on other machines need 356")


def test_processes_must_suffice_for_all_workers() -> None:
    check(machine.processes(100, {"kernel.pid_max": 164}), Status.OK)
    check(machine.processes(100, {"pids.max": 163, "kernel.pid_max": 9999}), Status.WARNING, "pids.max is 163")
    assert set(machine.process_limits()) <= {"the limit of processes of this user", "kernel.pid_max", "pids.max"}
    assert machine.process_limits()["kernel.pid_max"] > 0


def test_memory_must_suffice_for_idle_workers() -> None:
    check(machine.memory(100, 2**30, 0), Status.OK)
    check(machine.memory(1000, 2**30, 0), Status.WARNING, "1.0 GiB available", "max_workers")
    check(machine.memory(100, 2**30, 2), Status.WARNING, "vm.overcommit_memory")
    assert machine.available_memory() > 0


def test_more_processes_than_processors_are_told() -> None:
    check(machine.processors(2, 2), Status.OK)
    check(machine.processors(3, 2), Status.WARNING, "3 gateway processes share 2")


def test_a_data_directory_is_there_or_can_be_made(tmp_path: Path) -> None:
    check(directory.present(tmp_path), Status.OK)
    check(directory.present(tmp_path / "a" / "b"), Status.OK, "not there yet")
    (tmp_path / "file").touch()
    check(directory.present(tmp_path / "file"), Status.FAILED, "is not a directory")
    check(directory.present(tmp_path / "file" / "below"), Status.FAILED, "is not a directory")


def test_a_data_directory_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    if os.getuid() == 0:
        tmp_path = Path("/proc/1")  # where not even root may make anything
        if os.access(tmp_path, os.W_OK):
            pytest.skip("root may write everywhere here")
    else:
        tmp_path.chmod(0o500)
    check(directory.present(tmp_path / "data"), Status.FAILED, "cannot be read and written", "chown")


@pytest.mark.parametrize(
    ("mode", "status", "word"),
    [
        (0o700, Status.OK, "nobody but its user"),
        (0o750, Status.WARNING, "mode 0750"),
        (0o707, Status.FAILED, "everybody may write"),
    ],
)
def test_only_its_user_may_look_into_the_data_directory(tmp_path: Path, mode: int, status: Status, word: str) -> None:
    tmp_path.chmod(mode)
    check(directory.permissions(tmp_path), status, word)


def test_files_that_only_the_directory_protects_are_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "sessions.db").touch(0o600)
    check(directory.permissions(tmp_path), Status.OK)
    (tmp_path / "sessions.db-wal").touch(0o644)
    check(directory.permissions(tmp_path), Status.WARNING, "sessions.db-wal", "chmod 600")
    check(directory.permissions(tmp_path / "none"), Status.SKIPPED)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("ext4", Status.OK), ("nfs4", Status.FAILED), ("fuse.sshfs", Status.FAILED), ("tmpfs", "warning")],
)
def test_the_file_system_must_be_local_and_should_last(tmp_path: Path, kind: str, status: str) -> None:
    mounts = f"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / {tmp_path} rw shared:1 - {kind} there rw\n"
    mounts += "3 1 0:6 / /elsewhere rw - nfs a:/ rw\n"
    check(directory.file_system(tmp_path / "data", mounts), Status(status))
    check(directory.file_system(tmp_path.parent, mounts), Status.OK, "ext4")


def test_room_must_be_left(tmp_path: Path) -> None:
    check(directory.room(tmp_path, 2 * 2**30, 9), Status.OK)
    check(directory.room(tmp_path, 2**29, 9), Status.WARNING, "512 MiB")
    check(directory.room(tmp_path / "not" / "there", 2**20, 9), Status.FAILED, "STORE_UNAVAILABLE")


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}


async def made_store(path: Path) -> Path:
    made = SqliteStore(path)
    await made.open()
    await made.close()
    return path


async def test_a_sound_store_is_looked_through_without_a_trace(tmp_path: Path) -> None:
    path = await made_store(tmp_path / "sessions.db")
    before = contents(tmp_path)
    check(store(path), Status.OK, f"schema {SCHEMA_VERSION}, 0 active sessions")
    assert contents(tmp_path) == before
    check(store(tmp_path / "none.db"), Status.SKIPPED)


async def test_a_store_in_use_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    made = SqliteStore(path)
    await made.open()
    try:
        check(store(path), Status.OK, "0 active sessions")
        await made.inspect()
    finally:
        await made.close()


async def test_what_is_wrong_with_a_store_is_told(tmp_path: Path) -> None:
    path = await made_store(tmp_path / "sessions.db")
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    check(store(path), Status.FAILED, "newer release")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    check(store(path), Status.FAILED, "sessions.db")
    path.write_bytes(b"something else, which is longer than a header")
    check(store(path), Status.FAILED, "no SQLite database")
    path.unlink()
    path.mkdir()
    check(store(path), Status.FAILED, "cannot be read")


def test_a_store_without_its_columns_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE sessions (id TEXT)")
    db.close()
    check(store(path), Status.FAILED, "worker_id")


async def test_a_store_is_looked_through_for_so_long_at_the_most(tmp_path: Path) -> None:
    path = await made_store(tmp_path / "sessions.db")
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE filler AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 300000) "
                   "SELECT i FROM n")  # fmt: skip
    db.close()
    check(store(path, patience=0.0), Status.WARNING, "too large")


def test_the_process_that_holds_a_data_directory_is_known(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with only_one(tmp_path):
        assert holder(tmp_path) == os.getpid()
    assert holder(tmp_path) is None


async def test_apps_that_can_be_imported_are_told_from_those_that_cannot(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, apps={STEADY: APPS / "steady", "broken": BROKEN})
    found = {finding.check: finding async for finding in apps(settings)}
    check(found[f"app {STEADY}"], Status.OK, "functions")
    check(found["app broken"], Status.FAILED, "sgw app test")


async def test_no_apps_are_nothing_to_look_at_and_a_wrong_path_is_a_failure(tmp_path: Path) -> None:
    assert statuses([finding async for finding in apps(Settings(data_dir=tmp_path))]) == [Status.SKIPPED]
    (finding,) = [finding async for finding in apps(Settings(data_dir=tmp_path, apps={"a": tmp_path / "none"}))]
    check(finding, Status.FAILED, "is not a directory")


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def session(ahead: float) -> SessionInfo:
    """Return a session of a gateway whose clock is so many seconds ahead."""
    left = timedelta(seconds=60)
    expires = NOW + left + timedelta(seconds=ahead)
    return SessionInfo(dict.fromkeys(SessionInfo.__annotations__) | {"expires_at": expires, "expires_in": left})


def test_clocks_that_differ_are_told() -> None:
    answered = NOW + timedelta(seconds=2)
    check(clock(None, NOW, answered), Status.SKIPPED)
    check(clock(session(1), NOW, answered), Status.OK)
    check(clock(session(-4), NOW, answered), Status.OK)
    check(clock(session(30), NOW, answered), Status.WARNING, "28 s", "NTP")
    check(clock(session(-30), NOW, answered), Status.WARNING, "30 s")


async def test_the_whole_goes_on_after_what_has_failed(tmp_path: Path) -> None:
    loaded = read({"data_dir": tmp_path, "log": {"level": "loud"}, "server": {"listen": "0.0.0.0:0"}})
    subject = Subject(loaded, Caller("127.0.0.1:1", expected=True))
    found = {finding.check: finding async for finding in examine(subject)}
    check(found["settings"], Status.FAILED, "log.level: must be debug")
    check(found["address"], Status.FAILED, "0.0.0.0:0", "--tls-cert")
    check(found["gateway"], Status.FAILED, "nothing listens at 127.0.0.1:1")
    check(found["health"], Status.SKIPPED)


async def test_a_path_that_cannot_be_looked_at_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    loaded = read({"data_dir": tmp_path / ("x" * 300)})
    found = {each.check: each async for each in examine(Subject(loaded, Caller("127.0.0.1:1", expected=False)))}
    check(found["permissions"], Status.FAILED, "File name too long", "Run this as")
    check(found["gateway"], Status.SKIPPED, "--address")


async def test_a_store_of_ones_own_is_not_looked_into(tmp_path: Path) -> None:
    loaded = read({"data_dir": tmp_path, "store": {"factory": "ours:store", "url": "redis://127.0.0.1:1"}})
    found = [each async for each in examine(Subject(loaded, Caller("127.0.0.1:1", expected=False)))]
    (finding,) = (each for each in found if each.check == "store")
    check(finding, Status.SKIPPED, "ours:store")


class _NoRay:
    """A link that has reached nothing, and says so in the log."""

    why = "nobody is there"

    def __init__(self, *_: object) -> None:
        """It needs nothing."""

    def open(self) -> None:
        logging.getLogger("gateway.workers").warning("Ray is away")

    async def answered(self, _: float) -> bool:
        return False

    async def close(self) -> None:
        """There is nothing to close."""


class _Heard(logging.Handler):
    """What came to the top. caplog hears loggers, too, that hand nothing on."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


async def test_what_is_found_of_ray_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateway.doctor.ray.Link", _NoRay)
    heard = _Heard()
    monkeypatch.setattr(logging.getLogger(), "handlers", [heard])
    monkeypatch.setattr(logging.getLogger("gateway"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("gateway"), "propagate", True)
    (finding,) = [each async for each in ray(RaySettings(address="10.0.0.1:6379"))]
    check(finding, Status.FAILED, "10.0.0.1:6379 does not answer: nobody is there", "ray start")
    assert (heard.messages, capfd.readouterr().err) == ([], "")
    logging.getLogger("gateway.workers").warning("as before")
    assert heard.messages == ["as before"]


async def test_workers_on_ray_are_not_judged_by_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.doctor.ray.RAY_START", 0.0)
    apps = {STEADY: APPS / "steady", "broken": BROKEN}
    # More workers than any machine has room for.
    loaded = read({"data_dir": tmp_path, "apps": apps, "workers": {"pool": "ray", "max_workers": 10**9}})
    assert loaded.problems == []
    subject = Subject(loaded, Caller("127.0.0.1:1", expected=False))
    found = {each.check: each async for each in examine(subject)}
    for name, words in (("processes", "count there"), ("memory", "ray status"), ("isolation", "as Ray's user")):
        check(found[name], Status.SKIPPED, "workers run on the nodes of Ray", words)
    assert not any(name.startswith("isolation ") for name in found)
    check(found["ray"], Status.FAILED, "that this machine is a node of", "ray start")
    check(found[f"app {STEADY}"], Status.OK, "as imported on this machine")
    check(found["app broken"], Status.WARNING, "on this machine, where its workers are not", "sgw app test")
