"""Settings of several gateways on one store, and what does not go together."""

import operator

import pytest

from gateway.config import ConfigError, environment_name, load

LISTEN = "127.0.0.1:0"
ON_REDIS = {"store": {"url": "redis://127.0.0.1"}, "cluster": {"listen": LISTEN}}


def test_all_of_them_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"store.url": "redis://127.0.0.1/1", "cluster.listen": LISTEN, "cluster.advertise": "gateway-1.example:0"}
    given |= {f"cluster.{name}": f"/{name}" for name in ("tls_cert", "tls_key", "tls_ca")} | {"cluster.takeover": "4.5"}
    for path, text in given.items():
        monkeypatch.setenv(environment_name(path), text)
    settings = load()
    assert {path: str(operator.attrgetter(path)(settings)) for path in given} == given


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"store": {}}, ("cluster.listen", "not in Redis", "store.url")),
        ({"processes": 2}, ("processes", "cluster.listen")),
        ({"cluster": {"takeover": 5}}, ("takeover", "without listen")),
        ({"cluster": {"listen": LISTEN, "takeover": 1}}, ("takeover", "2")),
        ({"cluster": {"listen": LISTEN, "tls_cert": "/cert"}}, ("tls_cert", "tls_key")),
        ({"cluster": {"listen": "0.0.0.0:50152"}}, ("advertise", "0.0.0.0")),
        ({"cluster": {"listen": "nowhere"}}, ("HOST:PORT",)),
        ({"cluster": {"listen": LISTEN, "advertise": "nowhere"}}, ("HOST:PORT",)),
    ],
)
def test_what_does_not_go_together_is_refused_in_words(changed: dict[str, object], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as refused:
        load({**ON_REDIS, **changed})
    assert all(word in str(refused.value) for word in words)
