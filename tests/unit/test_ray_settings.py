"""What can be said of Ray in settings and in an `app.toml`, and what is refused with its reason."""

from pathlib import Path
from typing import Any

import pytest

from gateway.apps.manifest import AppDirectoryError, app_version
from gateway.config import ConfigError, load
from gateway.model import Placement
from gateway.workers.ray.pool import _options_of
from gateway.workers.records import app_from, app_text


def app(directory: Path, toml: str) -> Any:
    (directory / "app.py").write_text("")
    (directory / "app.toml").write_text(f"[ray]\n{toml}\n")
    return app_version("app", "1", directory)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"processes": 2, "workers": {"pool": "ray"}}, "processes must be 1 with workers on Ray"),
        ({"workers": {"pool": "ray", "isolation": "user"}}, "isolation user is not to be had on Ray"),
        ({"ray": {"address": "ray://head:10001"}}, "Ray's client server"),
        ({"ray": {"tls_cert": "cert.pem"}}, "tls_cert is given without tls_key and tls_ca"),
        ({"ray": {"address": "10.0.0.1:6379"}}, "ray.address: address is given, and workers.pool is local"),
        ({"ray": {"namespace": "a"}, "workers": {"pool": "local"}}, "namespace is given, and workers.pool is local"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_with_the_reason(flags: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load(flags)


def test_what_an_app_asks_for_is_what_ray_is_told(tmp_path: Path) -> None:
    given = app(
        tmp_path,
        'cpus = 0.5\ngpus = 2\nmemory = "1GiB"\nresources = { disk = 1 }\npip = ["x==1"]\nenv = { A = "b" }\n'
        "upload = true",
    )
    assert given.ray == Placement(0.5, 2, 2**30, {"disk": 1}, ["x==1"], {"A": "b"}, True)
    assert _options_of(given) == {
        "num_cpus": 0.5,
        "num_gpus": 2,
        "memory": 2**30,
        "resources": {"disk": 1},
        "runtime_env": {"pip": ["x==1"]},
    }
    assert app_from(app_text(given))[0] == given


def test_an_app_that_asks_for_nothing_takes_a_trace_of_a_processor(tmp_path: Path) -> None:
    assert _options_of(app(tmp_path, "")) == {"num_cpus": 0.0001, "num_gpus": 0}


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("cpus = -1", "ray.cpus"),
        ("gpus = 1.5", "a whole number, or a part of one GPU"),
        ("resources = { CPU = 1 }", "'CPU' is not the name of a resource"),
        ('env = { "A B" = "c" }', "'A B' cannot be a variable"),
        ('pip = [""]', "ray.pip"),
        ("threads = 1", "ray.threads"),
    ],
)
def test_what_ray_cannot_be_told_is_a_fault_of_the_app(tmp_path: Path, toml: str, problem: str) -> None:
    with pytest.raises(AppDirectoryError, match=problem):
        app(tmp_path, toml)
