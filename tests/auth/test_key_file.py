"""The file of keys: what stands in it, who may read it, and what becomes of a damaged one."""

import json
import os
import stat
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.auth.keyfile import REMEMBERED, KeyFile, KeysUnusable, without_old
from gateway.auth.keys import new_key
from tests.auth.issuing import NOW, SCOPES, issue, revoke


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    first, _ = issue(tmp_path / "data", "first")
    second, _ = issue(tmp_path / "data", "second", lasts=timedelta(days=1))
    assert KeyFile(tmp_path / "data").read() == {first.id: first, second.id: second}
    revoke(tmp_path / "data", first)
    assert KeyFile(tmp_path / "data").read()[first.id].revoked_at is not None


def test_only_its_owner_reads_the_file_and_no_key_is_in_it(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        _, shown = issue(tmp_path / "data", "me")
    finally:
        os.umask(old_mask)
    for file in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert shown.rpartition("_")[2] not in file.read_text()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_directory_without_keys_has_no_file_and_gets_none_by_being_looked_at(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    assert not file.exists()
    assert file.stamp() is None
    with pytest.raises(KeysUnusable, match="No such file"):
        file.read()
    assert list(tmp_path.iterdir()) == []


def test_every_change_changes_the_stamp(tmp_path: Path) -> None:
    file, stamps = KeyFile(tmp_path), set()
    for name in ("a", "b", "c"):
        key, _ = issue(tmp_path, name)
        stamps.add(file.stamp())
        revoke(tmp_path, key)
        stamps.add(file.stamp())
    assert len(stamps) == 6


def test_a_change_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    key, _ = issue(tmp_path, "me")
    with pytest.raises(LookupError), KeyFile(tmp_path).changing() as keys:
        keys.clear()
        raise LookupError
    assert list(KeyFile(tmp_path).read()) == [key.id]
    assert {file.name for file in tmp_path.iterdir()} == {"keys.json", "keys.lock"}


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    threads = [threading.Thread(target=issue, args=(tmp_path, f"name-{number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in KeyFile(tmp_path).read().values()} == {f"name-{number}" for number in range(8)}


def edited(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    """Return what changes the document in the file."""

    def edit(path: Path) -> None:
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return edit


def instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return what puts something else in the place of the file."""

    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-20]), "damaged"),
    "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "zeros": (lambda path: path.write_bytes(bytes(path.stat().st_size)), "damaged"),
    "no object": (lambda path: path.write_text("[]"), "damaged"),
    "deep": (lambda path: path.write_text("[" * 100_000), "damaged"),
    "of a newer sgw": (edited(lambda document: document.update(format=2)), "a newer sgw"),
    "without a format": (edited(lambda document: document.pop("format")), "damaged (format"),
    "with something unknown": (edited(lambda document: document.update(more=1)), "damaged (more"),
    "without a hash": (edited(lambda document: document["keys"][0].pop("sha256")), "damaged (keys.0.sha256"),  # type: ignore[index]
    "with a wrong hash": (edited(lambda document: document["keys"][0].update(sha256="")), "damaged (keys.0.sha256"),  # type: ignore[index]
    "with an unknown scope": (edited(lambda document: document["keys"][0].update(scopes=["all"])), "damaged"),  # type: ignore[index]
    "with a key twice": (edited(lambda document: document["keys"].append(document["keys"][0])), "twice"),  # type: ignore[attr-defined,index]
    "that others write": (lambda path: path.chmod(0o622), "others can write"),
    "a directory": (instead(Path.mkdir), "directory"),
    "a pipe": (instead(os.mkfifo), "not a regular file"),
    "too large": (lambda path: os.truncate(path, 17 * 1024 * 1024), "more than"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_cannot_be_trusted_is_refused_as_a_whole(tmp_path: Path, damage: str) -> None:
    issue(tmp_path, "me")
    damaging, complaint = DAMAGES[damage]
    file = KeyFile(tmp_path)
    damaging(file.path)
    with pytest.raises(KeysUnusable) as refused:
        file.read()
    assert complaint in str(refused.value)
    assert str(file.path) in str(refused.value)


def test_nothing_of_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"format": 1, "keys": ["hunter2"]}')
    (tmp_path / "keys.json").chmod(0o600)
    with pytest.raises(KeysUnusable) as refused:
        KeyFile(tmp_path).read()
    assert "hunter2" not in str(refused.value)


def test_a_damaged_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("damaged")
    path.chmod(0o600)
    with pytest.raises(KeysUnusable):
        issue(tmp_path, "me")
    assert path.read_text() == "damaged"


def test_keys_that_have_long_been_good_no_more_are_dropped() -> None:
    long_ago = NOW - REMEMBERED
    made = {name: new_key(name, SCOPES, long_ago, None)[0] for name in ("good", "revoked", "lately", "expired")}
    made["revoked"] = made["revoked"].model_copy(update={"revoked_at": long_ago})
    made["lately"] = made["lately"].model_copy(update={"revoked_at": NOW - timedelta(days=1)})
    made["expired"] = made["expired"].model_copy(update={"expires_at": long_ago})
    assert set(without_old(made, NOW)) == {"good", "lately"}
