"""The store that docs/extending.md shows keeps the contract of stores, and a gateway can have it by its settings."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from examples.stores.journal import JournalStore
from gateway.clock import SystemClock
from gateway.config import load
from gateway.data_directory import CannotStart
from gateway.model import EndReason
from gateway.storage import session_store
from gateway.stores.base import SessionStore, StoreFailure
from gateway.testing.process import GatewayProcess
from gateway.testing.store_harness import ANY, Reopen, added, at, walk
from gateway.testing.store_suite import SessionStoreSuite
from sessiongateway import Inference, SessionEndedError
from tools.paths import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.journal"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SessionStore]:
    store = JournalStore(path)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def reopen(store: SessionStore, path: Path) -> AsyncIterator[Reopen]:
    opened: list[JournalStore] = []

    async def again() -> SessionStore:
        await store.close()
        opened.append(JournalStore(path))
        await opened[0].open()
        return opened[0]

    yield again
    for each in opened:
        await each.close()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


class TestJournalStore(SessionStoreSuite):
    pass


async def test_a_change_that_a_crash_has_cut_short_did_not_happen(store: SessionStore, path: Path) -> None:
    first, second = await added(store), await added(store)
    await store.close()
    cut_short(path)
    again = JournalStore(path)
    await again.open()
    assert (await again.get(first.id), await again.get(second.id)) == (first, None)
    assert await walk(again, ANY, 10) == [first.id]
    await again.close()


async def test_a_change_that_cannot_be_written_does_not_happen(store: SessionStore) -> None:
    assert isinstance(store, JournalStore)
    session = await added(store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.write", lambda _, data: len(data) - 1)
        with pytest.raises(StoreFailure):
            await store.end(session.id, EndReason.CALLER, at(1))
    assert await store.get(session.id) == session


def test_a_gateway_with_the_store_of_its_settings_knows_its_sessions_again(tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": str(ROOT / "examples" / "stores"),
        "SGW_STORE_FACTORY": "journal:store",
        "SGW_STORE_URL": f"journal://{tmp_path / 'sessions.journal'}",
    }
    apps = {"kv": ROOT / "examples" / "kv"}
    call = {"app": "kv", "function": "get_value", "input": {"key": "colour"}}
    with GatewayProcess(tmp_path / "data", apps, environment=environment) as gateway:
        with Inference(address=gateway.address) as client:
            first = client.run(call, session="new")
            assert client.run(call, session=first.session_id).session_id == first.session_id
            client.sessions.end(first.session_id)
        gateway.stop()
        gateway.start()
        with Inference(address=gateway.address) as client, pytest.raises(SessionEndedError):
            client.run(call, session=first.session_id)
    assert not (tmp_path / "data" / "sessions.db").exists()


@pytest.mark.parametrize(
    ("factory", "why"),
    [
        ("no_such_module:store", "ModuleNotFoundError"),
        ("examples.stores.journal:no_such_function", "AttributeError"),
        ("json:dumps", "TypeError"),
        ("types:SimpleNamespace", "TypeError"),
        ("builtins:slice", "slice is no SessionStore"),
    ],
)
def test_a_function_that_gives_no_store_is_told_at_the_start(tmp_path: Path, factory: str, why: str) -> None:
    settings = load({"data_dir": tmp_path, "store": {"factory": factory, "url": "x"}})
    with pytest.raises(CannotStart, match=f"store.factory {factory} gives no store: {why}"):
        session_store(settings, SystemClock(), shared=False)


def test_the_tests_on_the_page_are_the_suite_and_pass(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (block,) = (
        each
        for each in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        if "@pytest.fixture" in each
    )
    (tmp_path / "test_journal.py").write_text(block)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "examples" / "stores")},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    promises = [name for name in dir(SessionStoreSuite) if name.startswith("test_")]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= len(promises) > 50


def test_the_settings_on_the_page_are_ones_that_the_gateway_takes() -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    settings = load(tomllib.loads(block))
    assert settings.store.factory == "journal:store"
    journal = importlib.import_module("examples.stores.journal")
    assert isinstance(journal.store(settings.store.url, SystemClock(), 1.0), JournalStore)
