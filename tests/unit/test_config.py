"""Settings: where they come from, which wins, and that everything wrong is told at once."""

import operator
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.config import (
    CLIENT_VARIABLES,
    ConfigError,
    Settings,
    default_data_dir,
    environment_name,
    load,
    setting_paths,
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in [*setting_paths(), "address", "api_key"]:
        monkeypatch.delenv(environment_name(path), raising=False)


def problems_of(**flags: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(flags)
    return caught.value.problems


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return path


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load()
    assert settings.server.listen == "127.0.0.1:50151"
    assert not settings.server.insecure
    assert settings.sessions.retention == 24 * 3600
    assert settings.sessions.queue_size == 64
    assert settings.server.max_input_bytes == settings.server.max_output_bytes == 4 * 1024 * 1024


def test_flags_win_over_the_environment_which_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path, "[workers]\nmin_idle = 1\nmax_workers = 1\nqueue_time = 1\nmax_shared = 1\n")
    monkeypatch.setenv("SGW_WORKERS_MAX_WORKERS", "2")
    monkeypatch.setenv("SGW_WORKERS_QUEUE_TIME", "2.5")
    workers = load({"workers": {"queue_time": 3}}, path).workers
    assert (workers.min_idle, workers.max_workers, workers.queue_time) == (1, 2, 3.0)
    assert workers.max_shared == 1
    assert workers.end_grace == 5.0


TABLES = {"apps", "quotas.principals"}
TOKENS = {"auth.jwt_issuer", "auth.jwt_audience", "auth.jwt_jwks_file"}
OF_RAY = {f"ray.{name}" for name in ("address", "namespace", "tls_cert", "tls_key", "tls_ca")}
ONLY_TOGETHER = {"server.tls_cert", "server.tls_key", "server.client_ca", "auth.certificates_file", *TOKENS, *OF_RAY}
OF_REDIS = {f"store.{name}" for name in ("prefix", "password", "password_file", "tls_ca", "tls_cert", "tls_key")}

OF_SEVERAL = {f"cluster.{name}" for name in ("listen", "advertise", "takeover", "tls_cert", "tls_key", "tls_ca")}


@pytest.mark.parametrize(
    "path",
    [path for path in setting_paths() if path not in TABLES | {"data_dir"} | ONLY_TOGETHER | OF_REDIS | OF_SEVERAL],
)
def test_every_setting_can_come_from_the_environment(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value_of = operator.attrgetter(path)
    default = value_of(Settings())
    special = {"server.listen": "127.0.0.1:1", "log.level": "debug", "log.format": "json", "server.drain": "end"}
    special |= {"server.transport": "grpcio", "server.auth": "keys"}
    special |= {"metrics.address": "127.0.0.1:1", "auth.jwt_algorithms": "ES256, EdDSA"}
    special |= {"store.url": "redis://127.0.0.1/1", "store.factory": "ours.stores:store"}
    special |= {"workers.isolation": "user", "workers.user_range": "2000-3000"}
    special |= {"workers.pool": "ray"}
    special |= {"tracing.endpoint": "grpc://127.0.0.1:4317", "tracing.sample_ratio": "0.5"}
    value: object = special.get(path, (not default) if isinstance(default, bool) else None)
    if value is None:
        value = "text" if default == "" else 1 if default is None else default + 1
    text = str(value)
    monkeypatch.setenv(environment_name(path), text)
    assert str(value_of(load())) == text


def test_a_relative_data_directory_is_the_same_one_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SGW_DATA_DIR", "data")
    assert load().data_dir == tmp_path / "data"


def test_a_table_can_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGW_QUOTAS_PRINCIPALS", '{"key:a": {"live_sessions": 3}}')
    assert load().quotas.of("key:a").live_sessions == 3


def test_settings_that_need_each_other_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ONLY_TOGETHER:
        monkeypatch.setenv(environment_name(path), f"/{path}")
    monkeypatch.setenv("SGW_WORKERS_POOL", "ray")
    settings = load()
    assert [str(operator.attrgetter(path)(settings)) for path in ONLY_TOGETHER] == [
        f"/{path}" for path in ONLY_TOGETHER
    ]


@pytest.mark.parametrize("left_out", ["password", "password_file"])
def test_settings_of_redis_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, left_out: str) -> None:
    given = OF_REDIS - {f"store.{left_out}"}
    for path in given:
        monkeypatch.setenv(environment_name(path), f"/{path}")
    monkeypatch.setenv("SGW_STORE_URL", "rediss://h")
    store = load().store
    shown = {path: getattr(store, path.partition(".")[2]) for path in given}
    shown = {path: getattr(value, "get_secret_value", lambda value=value: value)() for path, value in shown.items()}
    assert {path: str(value) for path, value in shown.items()} == {path: f"/{path}" for path in given}


def test_there_are_no_more_processes_than_workers() -> None:
    assert load({"processes": 2, "workers": {"max_workers": 2}}).processes == 2
    assert [problem.split(":")[0] for problem in problems_of(processes=3, workers={"max_workers": 2})] == [
        "workers.max_workers"
    ]
    assert [problem.split(":")[0] for problem in problems_of(processes=0)] == ["processes"]


def test_apps_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGW_APPS", '{"kv@1": "apps/kv"}')
    assert load().apps == {"kv@1": Path("apps/kv")}


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGW_WORKERS_MIN_IDEL", "3")
    monkeypatch.setenv("SGW_LOG_FORMAT", "xml")
    path = file(tmp_path, "[sessions]\nretention = -1\nunheard_of = 1\n[unheard]\nof = 1\n")
    with pytest.raises(ConfigError) as caught:
        load({"server": {"listen": "nowhere"}, "workers": {"max_workers": 0}}, path)
    assert {problem.partition(": ")[0] for problem in caught.value.problems} == {
        "SGW_WORKERS_MIN_IDEL",
        "SGW_LOG_FORMAT",
        "server.listen",
        f"{path}:2",
        f"{path}:3",
        f"{path}:4",
        "workers.max_workers",
    }
    assert str(caught.value) == "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("name", "value"), [("SGW_APPS", "not json"), ("SGW_APPS", "[1]"), ("SGW_APPS", '"x"'), ("SGW_WORKERS", "{")]
)
def test_a_variable_that_is_not_the_json_it_should_be_is_a_problem_and_no_crash(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert any(name.removeprefix("SGW_").lower() in problem.lower() for problem in problems_of())


def test_variables_of_the_clients_are_none_of_the_servers_business(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLIENT_VARIABLES:
        monkeypatch.setenv(name, "x")
    load()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "localhost:65535", "0.0.0.0:1", "unix.example:80"])
def test_an_address_is_host_and_port(listen: str) -> None:
    assert load({"server": {"listen": listen}}).server.listen == listen


@pytest.mark.parametrize(
    "listen", ["", "localhost", ":50151", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:٣", "h:1 "]
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    assert problems_of(server={"listen": listen}) == [
        "server.listen: must be HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:50151 or [::1]:0"
    ]


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_seconds_are_finite_and_not_negative(value: str) -> None:
    assert len(problems_of(workers={"queue_time": value})) == 1


@pytest.mark.parametrize(("content", "why"), [("[workers", "gateway.toml"), ("\ufeff=", "gateway.toml")])
def test_a_file_that_cannot_be_read_is_told_with_its_path(tmp_path: Path, content: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load({}, file(tmp_path, content))


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load({}, tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.toml"):
        load({}, tmp_path / "binary.toml")


def test_settings_are_frozen() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.workers.min_idle = 5  # type: ignore[misc]


def test_the_data_directory_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/x/data")
    assert default_data_dir() == Path("/x/data/session-gateway")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/x/home-of-someone")
    assert default_data_dir() == Path("/x/home-of-someone/.local/share/session-gateway")


def test_every_setting_is_described() -> None:
    fields = []
    for field in Settings.model_fields.values():
        fields += list(getattr(field.annotation, "model_fields", {}).values()) or [field]
    assert all(field.description for field in fields)
    assert len(fields) == len(setting_paths())


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:4317", "udp://a:1", "grpc://", "http:///v1/traces", "http://user:key@a"]
)
def test_an_endpoint_for_traces_says_how_to_send_and_where(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"tracing\.endpoint: .*grpc://HOST:PORT"):
        load({"tracing": {"endpoint": endpoint}})


def test_a_part_of_the_calls_is_at_most_all_of_them() -> None:
    with pytest.raises(ConfigError, match=r"tracing\.sample_ratio"):
        load({"tracing": {"sample_ratio": 1.5}})


@pytest.mark.parametrize(
    "listen",
    [
        "name",
        "name:",
        ":50151",
        "127.0.0.1:70000",
        "127.0.0.1:-1",
        "unix:/run/gateway.sock",
        "unix:/run/gateway.sock:1",
        "http://127.0.0.1:1",
        "[::1:1",
        "::1]:1",
    ],
)
def test_what_is_no_address_to_listen_on_is_refused_with_the_form(listen: str) -> None:
    for given in ({"server": {"listen": listen}}, {"cluster": {"listen": listen}}):
        (problem, *_) = problems_of(**given)
        assert "must be HOST:PORT with a port from 0 to 65535" in problem
