"""What a key is, and what is kept of it."""

import string
from datetime import timedelta

import pytest

from gateway.auth import keys
from gateway.auth.keys import Key, Scope, new_key
from gateway.rpc.permissions import EVERYTHING, NEEDS, methods_of
from sessiongateway.v1 import apps_pb2, sessions_pb2
from tests.auth.issuing import NOW, SCOPES


def changed(shown: str, position: int) -> str:
    """Return a key with another character at a position."""
    return shown[:position] + ("b" if shown[position] != "b" else "c") + shown[position + 1 :]


def test_nothing_that_is_kept_of_a_key_lets_anybody_in() -> None:
    key, shown = new_key("me", SCOPES, NOW, None)
    secret = shown.rpartition("_")[2]
    assert len(secret) * 5 >= 256
    assert secret not in key.model_dump_json()
    assert not key.belongs_to(key.sha256)


def test_a_key_is_known_by_all_of_its_characters() -> None:
    key, shown = new_key("me", SCOPES, NOW, None)
    assert key.belongs_to(shown)
    assert not any(key.belongs_to(changed(shown, position)) for position in range(len(shown)))
    assert not key.belongs_to(shown + "a")
    assert not key.belongs_to("")


def test_a_key_tells_its_own_id_and_how_it_ends() -> None:
    key, shown = new_key("me", SCOPES, NOW, None)
    assert keys.id_in(shown) == key.id
    assert shown.endswith(key.ends_with)


def test_no_two_keys_are_alike() -> None:
    drawn = [new_key("me", SCOPES, NOW, None) for _ in range(100)]
    assert len({shown for _, shown in drawn}) == len({key.id for key, _ in drawn}) == 100


@pytest.mark.parametrize("shown", ["", "me", "key-1", "sgw_", "sgw_a_b", "sgw_" + "a" * 13 + "_" + "A" * 52, "ä" * 70])
def test_what_cannot_be_a_key_has_no_id(shown: str) -> None:
    assert keys.id_in(shown) is None


def test_a_key_can_be_selected_as_one_word_and_sent_as_metadata() -> None:
    _, shown = new_key("me", SCOPES, NOW, None)
    assert set(shown) <= set(string.ascii_lowercase + string.digits + "_")


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 65, "key_me", "ä", "a\n"])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name has"):
        new_key(name, SCOPES, NOW, None)


def test_a_key_is_good_until_it_expires_or_is_revoked() -> None:
    later = NOW + timedelta(seconds=1)
    key, _ = new_key("me", SCOPES, NOW, later)
    revoked = key.model_copy(update={"revoked_at": NOW})
    assert [key.state(NOW), key.state(later), revoked.state(NOW), revoked.state(later)] == [
        "active",
        "expired",
        "revoked",
        "revoked",
    ]
    assert [key.over_since(NOW), key.over_since(later), revoked.over_since(later)] == [None, later, NOW]


def test_scopes_are_kept_once_each_in_the_order_of_what_they_allow() -> None:
    key, _ = new_key("me", [Scope.ADMIN, Scope.READ, Scope.ADMIN], NOW, None)
    assert key.scopes == (Scope.READ, Scope.ADMIN)
    assert Key.model_validate_json(key.model_dump_json()) == key


def test_every_method_of_the_api_says_which_scope_it_needs() -> None:
    services = (
        sessions_pb2.DESCRIPTOR.services_by_name["SessionService"],
        apps_pb2.DESCRIPTOR.services_by_name["AppService"],
    )
    assert {method.name for service in services for method in service.methods} == set(NEEDS)


def test_scopes_allow_what_they_are_for_and_nothing_else() -> None:
    looking = {"ListApps", "GetApp", "GetSession", "ListSessions", "WatchSessions"}
    assert methods_of([Scope.READ]) == looking
    assert methods_of([Scope.EXECUTE]) == EVERYTHING
    assert methods_of([Scope.ADMIN]) == looking | {"EndSession"}
    assert methods_of([]) == set()
