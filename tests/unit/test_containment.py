"""Who gets which profile, and which users."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.doctor.finding import Status
from gateway.doctor.isolation import profiles
from gateway.errors import AppStartFailed
from gateway.model import AppRef, AppVersion, Profile
from gateway.share import Share
from gateway.sources.users import parse_user_range
from gateway.worker_settings import WorkerSettings
from gateway.workers.containment.choice import UNAVAILABLE, Containments
from gateway.workers.containment.machine import Lack, Machine
from gateway.workers.containment.users import NoUsersLeft, Users, user_of

FIRST = 3_000_000_000
SIZE = 10
LACK = Lack("the moon is full", "Wait.")


class Stub(Machine):
    """A machine that is what a test says."""

    def __init__(
        self, *, root: bool, users: Lack | None = None, sandbox: Lack | None = None, forks: bool = True
    ) -> None:
        self.is_root, self.bubblewrap = root, "/usr/bin/bwrap"
        self._own_users, self._sandbox, self._forks = users, sandbox, forks

    def own_users(self) -> Lack | None:
        return self._own_users

    def sandbox(self) -> Lack | None:
        return self._sandbox

    def forks_to_users(self) -> bool:
        return self._forks


@dataclass
class Case:
    """A setting, what an app asks for, and who the gateway is."""

    setting: str
    asked: Profile | None
    root: bool
    given: Profile


CASES = [
    Case("auto", None, False, "process"),
    Case("auto", "process", False, "process"),
    Case("auto", "sandbox", False, "sandbox"),
    Case("auto", None, True, "user"),
    Case("auto", "process", True, "user"),
    Case("auto", "sandbox", True, "sandbox"),
    Case("process", None, True, "process"),
    Case("process", "user", True, "user"),
    Case("user", "process", True, "user"),
    Case("user", "sandbox", True, "sandbox"),
    Case("sandbox", "process", False, "sandbox"),
    Case("sandbox", "user", True, "sandbox"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_app_gets_the_stronger_one_of_what_it_asks_for_and_what_the_gateway_demands(
    case: Case, app: AppVersion, tmp_path: Path
) -> None:
    settings = WorkerSettings.model_validate({"isolation": case.setting})
    containments = Containments(settings, tmp_path, machine=Stub(root=case.root))
    assert containments.wanted(replace(app, isolation=case.asked)) == case.given


@pytest.fixture
def app(tmp_path: Path) -> AppVersion:
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "app.py").write_text("")
    return AppVersion(AppRef("app", "1"), directory)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    return tmp_path / "lib"


async def test_what_cannot_be_had_is_refused_by_a_typed_error_that_says_what_to_do(
    app: AppVersion, library: Path, tmp_path: Path
) -> None:
    settings = WorkerSettings(isolation="sandbox")
    containments = Containments(settings, tmp_path, machine=Stub(root=False, sandbox=LACK))
    with pytest.raises(AppStartFailed, match="isolation sandbox is not to be had here") as told:
        await containments.of(app, library)
    assert told.value.message.endswith("the moon is full. Wait.")
    assert told.value.metadata["exceptionType"] == UNAVAILABLE


async def test_only_by_itself_root_gives_way_to_root_and_says_so(
    app: AppVersion, library: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Stub(root=True, users=LACK)
    given = await Containments(WorkerSettings(), tmp_path, machine=machine).of(app, library)
    assert given.profile == "process"
    assert "app@1 runs as root, and so can do anything" in caplog.text
    asking = replace(app, isolation="user")
    for settings, each in ((WorkerSettings(isolation="user"), app), (WorkerSettings(), asking)):
        with pytest.raises(AppStartFailed, match="the moon is full"):
            await Containments(settings, tmp_path, machine=machine).of(each, library)


async def test_an_app_that_others_cannot_read_is_refused_with_its_path(
    app: AppVersion, library: Path, tmp_path: Path
) -> None:
    app.directory.chmod(0o700)
    containments = Containments(WorkerSettings(isolation="user"), tmp_path, machine=Stub(root=True))
    with pytest.raises(AppStartFailed, match=f"{app.directory} cannot be read by other users. Run: chmod"):
        await containments.of(app, library)


@pytest.fixture
def open_data() -> Iterator[Path]:
    """A data directory that others may look into, on a way that they may go."""
    data = Path(tempfile.mkdtemp(dir="/tmp"))
    data.chmod(0o755)
    for name in ("run", "lib", "apps"):
        (data / name).mkdir()
    (data / "apps" / "app.py").touch()
    yield data
    shutil.rmtree(data)


async def test_the_data_directory_is_empty_for_apps_also_while_others_may_look_into_it(open_data: Path) -> None:
    containments = Containments(WorkerSettings(isolation="user"), open_data / "run", machine=Stub(root=True))
    given = await containments.of(AppVersion(AppRef("app", "1"), open_data / "apps"), open_data / "lib")
    command = " ".join(given.command("python", []))
    assert f"--tmpfs {open_data} " in command
    assert f"--ro-bind {open_data}/apps {open_data}/apps" in command


@pytest.mark.parametrize(("forks", "method"), [(True, "fork"), (False, "spawn")])
async def test_without_user_namespaces_workers_of_own_users_are_fresh_interpreters(
    app: AppVersion, library: Path, tmp_path: Path, forks: bool, method: str
) -> None:
    containments = Containments(WorkerSettings(isolation="user"), tmp_path, machine=Stub(root=True, forks=forks))
    assert (await containments.of(app, library)).start_method == method


async def test_two_apps_never_have_a_user_in_common(app: AppVersion, library: Path, tmp_path: Path) -> None:
    settings = WorkerSettings(isolation="user", max_workers=4, user_range=f"{FIRST}-{FIRST + 99}")
    containments = Containments(settings, tmp_path, machine=Stub(root=True))
    given = await asyncio.gather(*(containments.of(app, library) for _ in range(20)))
    firsts = sorted(int(each.confinement.split("[")[1].split(",")[0]) for each in given)
    assert all(later - earlier >= 5 for earlier, later in pairwise(firsts))
    with pytest.raises(AppStartFailed, match=r"all of workers\.user_range is taken"):
        await containments.of(app, library)
    given[0].close()
    await containments.of(app, library)


def test_a_block_is_free_when_its_zygote_and_its_last_worker_are_gone(tmp_path: Path) -> None:
    users = Users(FIRST, FIRST + SIZE - 1, SIZE, tmp_path)
    block = users.allocate()
    taken = [block.take() for _ in range(SIZE - 1)]
    assert sorted([block.first, *taken]) == list(range(FIRST, FIRST + SIZE))
    with pytest.raises(OSError, match="no users left"):
        block.take()
    block.close()
    for user in taken:
        with pytest.raises(NoUsersLeft):
            users.allocate()
        block.give_back(user)
    assert users.allocate().first == FIRST


def test_the_user_that_has_been_free_for_the_longest_is_given_first(tmp_path: Path) -> None:
    block = Users(FIRST, FIRST + 2, 3, tmp_path).allocate()
    one, other = block.take(), block.take()
    block.give_back(other)
    block.give_back(one)
    assert (block.take(), block.take()) == (other, one)


def test_several_processes_never_give_the_same_users(tmp_path: Path) -> None:
    firsts = []
    for index in range(3):
        users = Users(FIRST, FIRST + 10 * SIZE - 1, SIZE, tmp_path, Share(index, 3))
        firsts += [users.allocate().first for _ in range(3)]
        with pytest.raises(NoUsersLeft):
            users.allocate()
    assert len(set(firsts)) == 9


def test_only_a_directory_that_is_open_to_its_group_says_whose_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert user_of(tmp_path) is None
    tmp_path.chmod(0o711)
    assert user_of(tmp_path) == (tmp_path.stat().st_gid if tmp_path.stat().st_gid >= 1000 else None)
    assert user_of(tmp_path / "missing") is None


@pytest.mark.parametrize(
    "text", ["", "1000", "1000-", "-1000", "0-10", "2000-1000", "1000-1000", "٣000-4000", "1-99999999999"]
)
def test_a_range_of_users_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be FIRST-LAST"):
        parse_user_range(text)


@pytest.mark.parametrize(
    ("machine", "isolation", "users", "sandbox"),
    [
        (Stub(root=True), "auto", Status.OK, Status.OK),
        (Stub(root=True), "process", Status.WARNING, Status.OK),
        (Stub(root=True, forks=False), "user", Status.WARNING, Status.OK),
        (Stub(root=True, users=LACK, sandbox=LACK), "auto", Status.WARNING, Status.SKIPPED),
        (Stub(root=True, users=LACK, sandbox=LACK), "user", Status.FAILED, Status.SKIPPED),
        (Stub(root=False, users=LACK, sandbox=LACK), "auto", Status.SKIPPED, Status.SKIPPED),
        (Stub(root=False, users=LACK, sandbox=LACK), "sandbox", Status.SKIPPED, Status.FAILED),
    ],
)
def test_the_doctor_says_which_profiles_there_are_as_it_matters(
    machine: Machine, isolation: str, users: Status, sandbox: Status
) -> None:
    settings = WorkerSettings.model_validate({"isolation": isolation})
    assert [finding.status for finding in profiles(settings, machine)] == [users, sandbox]
