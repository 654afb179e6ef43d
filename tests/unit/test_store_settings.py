"""Addresses of stores, and settings that do not go together."""

from pathlib import Path

import pytest

from gateway.config import ConfigError, load, read, values
from gateway.store_settings import Address, StoreSettings, parsed

ONE = (("h", 6379),)

ADDRESSES = {
    "redis://h": Address("redis", ONE),
    "redis://h:1/3": Address("redis", (("h", 1),), db=3),
    "redis://[::1]:7/": Address("redis", (("::1", 7),)),
    "rediss://user:p%40ss@h/0": Address("rediss", ONE, user="user", password="p@ss"),
    "redis://:secret@h": Address("redis", ONE, password="secret"),
    "unix:///run/redis.sock": Address("unix", path="/run/redis.sock"),
    "unix:///" + "x" * 106: Address("unix", path="/" + "x" * 106),
    "unix://user@/run/redis.sock": Address("unix", path="/run/redis.sock", user="user"),
    "redis+sentinel://a,b:2/records/1": Address("redis+sentinel", (("a", 26379), ("b", 2)), service="records", db=1),
    "rediss+cluster://a:1,b:2": Address("rediss+cluster", (("a", 1), ("b", 2))),
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_has_these_parts(url: str) -> None:
    assert parsed(url) == ADDRESSES[url]


@pytest.mark.parametrize("url", ADDRESSES)
def test_what_is_shown_of_an_address_leads_to_the_same_place_without_the_password(url: str) -> None:
    address = parsed(url)
    shown = parsed(address.shown)
    assert (shown.scheme, shown.hosts, shown.path, shown.service, shown.db, shown.user) == (
        address.scheme,
        address.hosts,
        address.path,
        address.service,
        address.db,
        address.user,
    )
    assert shown.password == ""
    assert not address.password or address.password not in repr(address) + address.shown


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://h", "must be sqlite or"),
        ("redis:h", "must be sqlite or"),
        ("redis://", "must have a host"),
        ("redis://h:port", "must be redis://"),
        ("redis://h:99999", "must be redis://"),
        ("redis://a,b", "several hosts"),
        ("redis://h/name", "number of a database"),
        ("redis://h/1/2", "number of a database"),
        ("unix://relative", "path of a socket"),
        ("unix:///" + "x" * 107, "too long a path: that of a socket has at most 107 bytes"),
        ("unix:///" + "%C3%A4" * 54, "too long a path"),
        ("redis+sentinel://a", "must name the service"),
        ("redis+cluster://a/1", "has a database"),
        ("redis://u:a/secret@h", "escapes"),
        ("redis://u:a@secret@h", "escapes"),
    ],
)
def test_what_is_no_address_is_told_without_its_password(url: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"store": {"url": url}})
    (problem,) = caught.value.problems
    assert why in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"prefix": "mine"}, "prefix is given, and the store is sqlite"),
        ({"url": "redis://:a@h", "password": "b"}, "more than once"),
        ({"url": "redis://h", "password": "b", "password_file": "/f"}, "more than once"),
        ({"url": "redis://h", "tls_ca": "/f"}, "not one with TLS"),
        ({"url": "rediss://h", "tls_cert": "/f"}, "without tls_key"),
        ({"url": "redis://h", "prefix": "a{b"}, "braces"),
        ({"factory": "ours:store", "url": "ours://h", "prefix": "mine"}, "prefix is given, and the store is that of"),
        ({"factory": "ours.store"}, "must be MODULE:FUNCTION"),
        ({"factory": "ours:"}, "must be MODULE:FUNCTION"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load({"store": settings})


def test_several_processes_cannot_share_a_redis() -> None:
    with pytest.raises(ConfigError, match="processes must be 1"):
        load({"processes": 2, "store": {"url": "redis://h"}})


def test_several_processes_cannot_share_a_store_of_ones_own() -> None:
    with pytest.raises(ConfigError, match="processes must be 1"):
        load({"processes": 2, "store": {"factory": "ours:store"}})


def test_a_store_of_ones_own_is_given_any_url_and_is_no_redis() -> None:
    store = load({"store": {"factory": "ours.stores:make", "url": "redis://is/whose?"}}).store
    assert (store.address, store.embedded, store.url) == (None, False, "redis://is/whose?")
    assert load().store.embedded


def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SGW_STORE_URL", "redis://user@h")
    monkeypatch.setenv("SGW_STORE_PASSWORD", "secret")
    shown = values(read())
    assert "secret" not in str(shown)
    assert load().store.password.get_secret_value() == "secret"
    monkeypatch.delenv("SGW_STORE_PASSWORD")
    monkeypatch.setenv("SGW_STORE_URL", "redis://user:secret@h/1")
    assert "secret" not in str(values(read()))
    assert "secret" not in str(StoreSettings(url="redis://h", password_file=tmp_path / "file").address)
