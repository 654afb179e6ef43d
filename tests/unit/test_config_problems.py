"""What is told of settings that are wrong: where, and in words of the configuration."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from gateway.config import ENVIRONMENT_PREFIX, environment_name, read, setting_paths, values
from gateway.sources.checking import Contradiction, checked
from gateway.sources.given import Given, Key, Origin, dotted
from gateway.sources.values import HIDDEN, shown, values_of

LIBRARY = re.compile(
    r"pydantic|[Ii]nput should|[Vv]alue error|validation|valid (integer|number|string)|_\w*type\b|JSONDec"
)
WRONG: list[Any] = ["\0", "many", -1, 0.5, 1e400, True, [], {"a": 1}, 10**400, "x" * 5000, ""]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in [*setting_paths(), "address", "api_key"]:
        monkeypatch.delenv(environment_name(path), raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.toml"


def told(file: Path, text: str) -> list[str]:
    """Return what is wrong with a file, without its path."""
    file.write_text(text)
    return [problem.replace(str(file), "FILE") for problem in read({}, file).problems]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[workers]\n\nmin_idel = 1", "FILE:3: workers.min_idel: no setting has this name; did you mean min_idle?"),
        ("[workrs]\nmin_idle = 1", "FILE:1: workrs: no section has this name; did you mean workers?"),
        ("min_idle = 1", "FILE:1: min_idle: no setting has this name; did you mean workers.min_idle?"),
        ("[log]\nlisten = 1", "FILE:2: log.listen: no setting has this name; did you mean server.listen?"),
        ("[log]\nxyzzy = 1", "FILE:2: log.xyzzy: no setting has this name"),
        ("[log]\n'a b'=1", 'FILE:2: log."a b": no setting has this name'),
        ("\nworkers = 1", "FILE:2: workers: must be a table, [workers]"),
        ("[workers]\nmin_idle = 'x'", 'FILE:2: workers.min_idle: must be a whole number, not "x"'),
        ("[workers]\nmin_idle = true", "FILE:2: workers.min_idle: must be a number, not true"),
        ("[workers]\nmin_idle = 1.5", "FILE:2: workers.min_idle: must be a whole number, not 1.5"),
        ("[workers]\nmin_idle = -1", "FILE:2: workers.min_idle: must be at least 0, not -1"),
        ("processes = 65", "FILE:1: processes: must be at most 64, not 65"),
        ("[workers]\nqueue_time = inf", "FILE:2: workers.queue_time: must be a number, and not infinite, not Infinity"),
        ("[server]\ninsecure = 2", "FILE:2: server.insecure: must be true or false, not 2"),
        ("[server]\nlisten = 2", "FILE:2: server.listen: must be text, not 2"),
        ("[log]\nformat = 'tex'", 'FILE:2: log.format: must be text or json, not "tex"; did you mean text?'),
        ("apps = 1", "FILE:1: apps: must be a table, not 1"),
        ("[apps]\n'a@1' = [1]", 'FILE:2: apps."a@1": must be a path, not an array'),
        ("[server]\ntls_key = 'k'", "FILE:2: server.tls_key: tls_key is given without tls_cert: TLS needs both"),
        ("processes = 4\nworkers.max_workers = 3",
         "FILE:2: workers.max_workers: max_workers must be at least 4: each of the gateway's processes has its part"),
        ("[a]\n[a]", "FILE:2: a is given twice, first on line 1"),
        ("[log]\nlevel = 'info'\nlevel = 'info'", "FILE:3: log.level is given twice, first on line 2"),
        ("[log\n", "FILE:1:5: this is not TOML: expected ']' at the end of a table declaration"),
        ("a = [1,\n2", "FILE:2:2: this is not TOML: unclosed array"),
        ("a = " + "[" * 100_000, "FILE: too deeply nested"),
        ("a = " + "9" * 5000, "FILE: a whole number has more than 4300 digits"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_with_its_line(file: Path, text: str, problem: str) -> None:
    assert told(file, text) == [problem]


def test_mistakes_of_each_kind_are_told_together(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[server]\ntls_cert = 'c'\ndrain_grace = -1\n[sesions]\nretention = 1\n")
    monkeypatch.setenv("SGW_PROCESSES", "3")
    monkeypatch.setenv("SGW_WORKERS_MIN_IDEL", "1")
    problems = read({"workers": {"max_workers": "2"}}, file, {"workers.max_workers": "--max-workers"}).problems
    assert {problem.partition(": ")[0].replace(str(file), "FILE") for problem in problems} == {
        "FILE:4", "SGW_WORKERS_MIN_IDEL", "FILE:3", "FILE:2", "--max-workers",
    }  # fmt: skip


def test_what_is_overridden_need_not_be_right(file: Path) -> None:
    file.write_text("[workers]\nmin_idle = 'x'\n")
    assert read({"workers": {"min_idle": 1}}, file).problems == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not json", 'must be a JSON object, such as {"kv": "/srv/apps/kv"}; it is not JSON at character 1'),
        ("[1]", 'must be a JSON object, such as {"kv": "/srv/apps/kv"}'),
        ("[" * 100_000, 'must be a JSON object, such as {"kv": "/srv/apps/kv"}; it is not JSON that can be read'),
        ('{"kv": 1}', "must be a path, not 1"),
    ],
)
def test_apps_of_the_environment_that_are_none_are_told(
    monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    monkeypatch.setenv("SGW_APPS", text)
    assert read().problems == [f"SGW_APPS: {problem}"]


def test_a_variable_that_nobody_knows_is_told_with_one_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGW_LOG_LEVLE", "info")
    assert read().problems == ["SGW_LOG_LEVLE: no setting has this name; did you mean SGW_LOG_LEVEL?"]


@pytest.mark.parametrize("path", setting_paths())
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
def test_no_value_of_any_setting_is_refused_in_the_words_of_a_library(path: str, value: Any) -> None:
    tree: Any = value
    for part in reversed(path.split(".")):
        tree = {part: tree}
    problems = read(tree).problems
    assert [problem for problem in problems if LIBRARY.search(problem) or len(problem) > 300] == []
    assert all(problem.startswith((f"{path}: ", f"{path}.")) for problem in problems)


PIECES = [*"[]{}=.,#\"'\\\n\t 1e", "true", "workers", "log", "level", "apps"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_is_a_crash(file: Path, text: str) -> None:
    file.write_text(text)
    assert all(str(file) in problem for problem in read({}, file).problems)


def test_each_value_knows_where_it_comes_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[apps]\nkv = 'a'\n'x/y@1' = 'b'\n[workers]\nmin_idle = 1\nmax_workers = 5\n")
    monkeypatch.setenv("SGW_WORKERS_MAX_WORKERS", "6")
    monkeypatch.setenv("SGW_APPS", '{"kv": "c"}')
    found = {
        each.path: (each.shown, str(each.origin).replace(str(file), "FILE"))
        for each in values(read({"log": {"level": "debug"}}, file, {"log.level": "--log-level"}))
    }
    assert found["workers.min_idle"] == (1, "file FILE:5")
    assert found["workers.max_workers"] == (6, "environment SGW_WORKERS_MAX_WORKERS")
    assert found["log.level"] == ("debug", "flag --log-level")
    assert found["log.format"] == ("text", "default")
    assert found["apps.kv"] == ("c", "environment SGW_APPS")
    assert found['apps."x/y@1"'] == ("b", "file FILE:3")
    assert set(setting_paths()) - set(found) == {"apps"}


class Secrets(BaseModel):
    """Settings as there may be one day."""

    password: SecretStr | None = Field(None, max_length=5)
    store: str = ""
    others: list[str] = []


def test_secrets_are_not_shown() -> None:
    settings = Secrets(password=SecretStr("abc"), store="redis://me:abc@host:1/0", others=["redis://:abc@host"])
    assert {each.path: each.shown for each in values_of(settings, {})} == {
        "password": HIDDEN,
        "store": f"redis://{HIDDEN}@host:1/0",
        "others": [f"redis://{HIDDEN}@host"],
    }
    assert shown(SecretStr("")) == ""


@pytest.mark.parametrize("value", ["abcdefgh", ["abcdefgh"], 5])
def test_a_secret_that_is_wrong_is_not_told(value: Any) -> None:
    problems: list[str] = []
    key: Key = ("password",)
    checked(Secrets, {key: Given(value, Origin("environment", "SGW_PASSWORD"))}, problems)
    assert len(problems) == 1
    assert problems[0].startswith("SGW_PASSWORD: ")
    assert str(value) not in problems[0]


def test_a_contradiction_is_told_where_one_of_its_settings_was_given() -> None:
    class Pair(BaseModel):
        a: int = 0
        b: int = 0

        def model_post_init(self, _: Any) -> None:
            if self.a != self.b:
                raise Contradiction("a and b must be the same", "a", "b")

    problems: list[str] = []
    found: dict[Key, Given] = {("b",): Given(2, Origin("flag", "--b"))}
    assert checked(Pair, found, problems) == Pair()
    assert problems == ["--b: a and b must be the same"]
    assert found == {}


def test_keys_are_written_as_toml_has_them() -> None:
    assert dotted(("a", "b-c_1", "d.e", "f@1", "")) == 'a.b-c_1."d.e"."f@1".""'


def test_the_prefix_of_variables_is_that_of_the_page() -> None:
    assert environment_name("workers.min_idle") == f"{ENVIRONMENT_PREFIX}WORKERS_MIN_IDLE" == "SGW_WORKERS_MIN_IDLE"
