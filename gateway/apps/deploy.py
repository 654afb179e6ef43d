"""Deploying: an immutable copy of an app directory under the data directory, named by its content.

    <apps>/<name>/<version>/    the app's files; a namespace `acme/kv` is the directory `acme@kv`
    <apps>/<name>/current       the version that a name without one means, replaced in one step

Works on the file system alone, with or without a gateway running; one that runs sees it at the next call.
"""

import os
import shutil
import tempfile
from pathlib import Path

from gateway.apps.manifest import AppDirectoryError, app_version, content_files, content_version, read_manifest
from gateway.apps.names import check_name
from gateway.model import AppVersion

CURRENT = "current"


def app_directory(apps: Path, name: str) -> Path:
    """Return where the versions of an app are. "@" cannot be in a name, so no two names share a directory."""
    return apps / name.replace("/", "@")


def deploy(directory: Path, apps: Path, name: str = "") -> AppVersion:
    """Copy an app directory to a new version and make that the current one. The same content is the same version.

    The name is the argument, else that of `app.toml`, else the directory's. Raises AppDirectoryError.
    """
    manifest = read_manifest(directory)
    try:
        name = check_name(name or manifest.name or directory.resolve().name)
    except ValueError as error:
        raise AppDirectoryError(str(error)) from error
    home = app_directory(apps, name)
    # The data directory: what a gateway keeps in it besides is for its user alone.
    apps.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=home))
    try:
        _copy(directory, incoming)
        version = content_version(incoming)
        target = home / version
        if not target.exists():
            incoming.chmod(0o755)
            incoming.rename(target)
    except (OSError, shutil.Error) as error:
        raise AppDirectoryError(f"cannot copy {directory}: {error}") from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    os.utime(target)  # "the newest" is the one deployed last, also when it had been deployed before
    _replace(home / CURRENT, version)
    return app_version(name, version, target)


def _copy(source: Path, target: Path) -> None:
    for relative in content_files(source):
        copy = target / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not (source / relative).is_file():
            raise AppDirectoryError(f"{source / relative} is not a file")
        shutil.copyfile(source / relative, copy)
        executable = (source / relative).stat().st_mode & 0o100
        copy.chmod(0o555 if executable else 0o444)


def _replace(path: Path, text: str) -> None:
    handle, scratch = tempfile.mkstemp(prefix=".current-", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(scratch).chmod(0o644)  # the gateway may run as another user than whoever deploys
    Path(scratch).replace(path)
