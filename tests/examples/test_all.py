"""What holds for every example."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sessiongateway.app import BaseApp
from tests.examples.conftest import EXAMPLES, RunningApp, StartApp

NAMES = sorted(file.parent.name for file in EXAMPLES.glob("*/app.py"))
SETTINGS = {"name", "default_function", "interpreter", "start_method", "concurrency", "min_idle"}


def readme_commands(name: str) -> list[tuple[str | None, dict[str, Any]]]:
    """Read the commands of an example's README as pairs of function and input."""
    commands = []
    for line in re.findall(rf"^sgw app run {name} .*$", (EXAMPLES / name / "README.md").read_text(), re.MULTILINE):
        words = shlex.split(line)
        options = dict(zip(words[4::2], words[5::2], strict=True))
        commands.append((options.get("--function"), json.loads(options.get("--input", "{}"))))
    return commands


def readme_outputs(name: str) -> list[str]:
    """Read the outputs that the README promises, a line each."""
    block = re.search(r"```json\n(.*?)```", (EXAMPLES / name / "README.md").read_text(), re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def needs(name: str) -> None:
    """Skip if the example cannot run here."""
    if name == "classifier":
        pytest.importorskip("sklearn", reason="scikit-learn (dependency group `examples`) is not installed")


def test_the_examples_are_found() -> None:
    assert NAMES == ["classifier", "interpreter", "kv", "sql"]


@pytest.mark.parametrize("name", NAMES)
async def test_the_settings_fit_the_app(start_app: StartApp, name: str) -> None:
    needs(name)
    settings = tomllib.loads((EXAMPLES / name / "app.toml").read_text())
    assert set(settings) <= SETTINGS
    assert settings["name"] == name
    assert settings["start_method"] in {"fork", "spawn"}
    assert settings["concurrency"] == 1
    async with start_app(name) as app:
        assert callable(getattr(app.instance, settings["default_function"]))


@pytest.mark.parametrize("name", NAMES)
async def test_every_public_attribute_is_a_documented_function(start_app: StartApp, name: str) -> None:
    needs(name)
    async with start_app(name) as app:
        public = [getattr(app.instance, attribute) for attribute in dir(app.instance) if not attribute.startswith("_")]
    own = [function for function in public if function.__name__ not in vars(BaseApp)]
    assert own
    assert all(function.__doc__ for function in own)


@pytest.mark.parametrize("name", NAMES)
async def test_the_commands_of_the_readme_answer_as_it_says(start_app: StartApp, name: str) -> None:
    needs(name)
    default = tomllib.loads((EXAMPLES / name / "app.toml").read_text())["default_function"]
    commands, outputs = readme_commands(name), readme_outputs(name)
    assert 2 <= len(commands) == len(outputs)
    async with start_app(name) as app:
        for (function, input), promised in zip(commands, outputs, strict=True):
            await _check(app, function or default, input, promised)


async def _check(app: RunningApp, function: str, input: dict[str, Any], promised: str) -> None:
    answer = await app.call(function, input)
    assert answer.get("error") is None
    # "..." stands for what is left out.
    shape = json.loads(re.sub(r",? \.\.\.", "", promised))
    assert set(shape) <= set(answer)
    if "..." not in promised:
        assert set(shape) == set(answer)
    for key, value in shape.items():
        if isinstance(value, str | int | None) or key in {"rows", "result_json", "files", "state"}:
            assert answer[key] == value


@pytest.mark.parametrize("name", NAMES)
def test_importing_the_app_is_safe_before_a_fork(name: str, tmp_path: Path) -> None:
    """No thread has been started, and no gRPC is loaded."""
    needs(name)
    code = (
        f"import os, sys; sys.path.insert(0, {str(EXAMPLES / name)!r}); import app\n"
        "print(len(os.listdir('/proc/self/task')), 'grpc' in sys.modules, 'google.protobuf' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("1 False False", "")
