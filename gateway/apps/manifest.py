"""`app.toml`: what an app says about itself, and the app directory as a whole."""

import hashlib
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.apps.limits import LimitsTable
from gateway.apps.names import check_name
from gateway.apps.placement import RayTable
from gateway.model import AppRef, AppVersion, Profile

MANIFEST_NAME = "app.toml"

IGNORED = frozenset(
    {"__pycache__", ".git", ".hg", ".venv", "venv", "node_modules", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
)
"""Directories that are no part of an app's content."""

VERSION_LENGTH = 12
"""Hexadecimal digits of the content's SHA-256 that name a version: 48 bits, far from a collision in one app."""


class AppDirectoryError(Exception):
    """A directory that cannot be an app; the text says why."""


class Manifest(BaseModel):
    """The keys of `app.toml`, all optional."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field("", description="The app's name, for `sgw app deploy`. Left out: the directory's name.")
    default_function: str = Field("", description="The function of a call that names none. Left out: `run`.")
    interpreter: str = Field(
        "",
        description="Absolute path of the Python that runs the app, which needs protobuf and pydantic. Left out: the "
        "gateway's own.",
    )
    start_method: Literal["fork", "spawn"] = Field(
        "fork",
        description="`fork`: workers come from a process that has imported the app, in milliseconds. `spawn`: a fresh "
        "interpreter for each worker, for apps whose imports start threads or hold a device.",
    )
    concurrency: int = Field(1, ge=1, le=1000, description="Calls of one worker that run at a time.")
    min_idle: int | None = Field(
        None, ge=0, le=1000, description="Workers kept ready. Left out: the gateway's setting."
    )
    isolation: Profile | None = Field(
        None,
        description="How its workers are kept to themselves, if that is more than the gateway's setting: `process`, "
        "`user`, `sandbox`.",
    )
    limits: LimitsTable = Field(LimitsTable(), description="What a session may take at the most.")
    ray: RayTable = Field(RayTable(), description="What Ray is to see to, where it places the workers.")

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return check_name(value) if value else value

    @field_validator("interpreter")
    @classmethod
    def _is_absolute(cls, value: str) -> str:
        if value and not Path(value).is_absolute():
            raise ValueError("must be an absolute path")
        return value


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of an app directory, the defaults when it has no `app.toml`.

    Raises AppDirectoryError with everything that is wrong with it.
    """
    if not (directory / "app.py").is_file():
        raise AppDirectoryError(f"{directory} has no app.py")
    path = directory / MANIFEST_NAME
    if not path.exists():
        return Manifest()
    try:
        return Manifest(**tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise AppDirectoryError(f"{path}: {problems}") from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AppDirectoryError(f"{path}: {error}") from error
    except ValueError:
        digits = sys.get_int_max_str_digits()
        raise AppDirectoryError(f"{path}: a whole number has more than {digits} digits") from None
    except RecursionError:
        raise AppDirectoryError(f"{path}: is nested too deeply") from None


def app_version(name: str, version: str, directory: Path) -> AppVersion:
    """Return the version whose code is in that directory. Raises AppDirectoryError."""
    manifest = read_manifest(directory)
    return AppVersion(
        ref=AppRef(name, version),
        directory=directory,
        default_function=manifest.default_function,
        interpreter=manifest.interpreter,
        start_method=manifest.start_method,
        concurrency=manifest.concurrency,
        min_idle=manifest.min_idle,
        limits=manifest.limits.limits(),
        isolation=manifest.isolation,
        ray=manifest.ray.placement(),
    )


def content_files(directory: Path) -> Iterator[Path]:
    """Yield the files that are an app's content, relative to its directory, in a fixed order."""
    for parent, directories, files in os.walk(directory, followlinks=True):
        directories[:] = sorted(name for name in directories if name not in IGNORED)
        for name in sorted(files):
            if not name.endswith((".pyc", ".pyo")):
                yield Path(parent, name).relative_to(directory)


def content_version(directory: Path) -> str:
    """Return the name of a version: a short hash over the paths, the executable bits and the content of its files."""
    digest = hashlib.sha256()
    for relative in content_files(directory):
        path = directory / relative
        executable = bool(path.stat().st_mode & 0o100)
        content = hashlib.sha256(path.read_bytes()).digest()
        digest.update(b"%s\0%d\0" % (os.fsencode(relative), executable) + content)
    return digest.hexdigest()[:VERSION_LENGTH]
