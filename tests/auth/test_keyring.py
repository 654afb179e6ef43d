"""Which keys a running gateway knows while their file changes."""

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.auth.keyfile import KeyFile, KeysUnusable
from gateway.auth.keyring import Demand, Keyring
from tests.auth.issuing import issue, revoke

TODAY = 1_800_000_000.0


def keyring(data_dir: Path, demand: Demand = Demand.ONCE_THERE_ARE_KEYS) -> Keyring:
    return Keyring(KeyFile(data_dir), demand)


def knows(ring: Keyring, shown: str, now: float = TODAY) -> bool:
    return ring.find(shown, now) is not None


def are_needed(ring: Keyring) -> bool:
    return ring.required


async def test_a_key_is_known_from_its_creation_to_its_revocation(tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    key, shown = issue(tmp_path, "me")
    assert not knows(ring, shown)
    assert await ring.refresh()
    assert knows(ring, shown)
    assert not await ring.refresh()
    revoke(tmp_path, key)
    assert await ring.refresh()
    assert not knows(ring, shown)


async def test_a_secret_of_one_key_is_none_under_the_id_of_another(tmp_path: Path) -> None:
    (_, mine), (_, theirs) = issue(tmp_path, "mine"), issue(tmp_path, "theirs")
    mixed = mine.rpartition("_")[0] + "_" + theirs.rpartition("_")[2]
    ring = keyring(tmp_path)
    assert knows(ring, mine)
    assert knows(ring, theirs)
    assert not knows(ring, mixed)


def test_a_key_expires_at_its_moment(tmp_path: Path) -> None:
    key, shown = issue(tmp_path, "me", lasts=timedelta(hours=1))
    assert key.expires_at is not None
    end, ring = key.expires_at.timestamp(), keyring(tmp_path)
    assert knows(ring, shown, end - 0.001)
    assert not knows(ring, shown, end)
    assert (ring.count(end - 0.001), ring.count(end)) == (1, 0)


async def test_keys_are_needed_from_the_first_one_on_and_also_when_the_last_one_is_revoked(tmp_path: Path) -> None:
    ring = keyring(tmp_path)
    assert not are_needed(ring)
    key, _ = issue(tmp_path, "me")
    await ring.refresh()
    assert are_needed(ring)
    revoke(tmp_path, key)
    await ring.refresh()
    assert are_needed(ring)
    assert keyring(tmp_path).required


def test_where_keys_are_always_needed_none_are_needed_to_start(tmp_path: Path) -> None:
    assert keyring(tmp_path, Demand.ALWAYS).required


def test_a_damaged_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    issue(tmp_path, "me")
    KeyFile(tmp_path).path.write_text("{")
    with pytest.raises(KeysUnusable):
        keyring(tmp_path)


@pytest.mark.parametrize("removed", [True, False])
async def test_no_key_is_known_while_the_file_is_damaged_or_gone_and_all_are_again_when_it_is_mended(
    tmp_path: Path, removed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    _, shown = issue(tmp_path, "me")
    ring, path = keyring(tmp_path), KeyFile(tmp_path).path
    good = path.read_bytes()
    path.unlink()
    if not removed:
        path.write_bytes(good[:-5])
        path.chmod(0o600)
    assert not await ring.refresh(), "one look that fails is forgiven"
    assert knows(ring, shown)
    assert await ring.refresh()
    assert not knows(ring, shown)
    assert ring.required
    for _ in range(3):
        assert not await ring.refresh()
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    path.write_bytes(good)
    path.chmod(0o600)
    assert await ring.refresh()
    assert knows(ring, shown)
