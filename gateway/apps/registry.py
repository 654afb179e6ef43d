"""Which apps there are at this moment: those that are deployed, and those that `--app` serves from a directory."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.apps import names
from gateway.apps.deploy import CURRENT, app_directory
from gateway.apps.manifest import AppDirectoryError, app_version, content_version, read_manifest
from gateway.apps.names import AppQuery
from gateway.errors import AppNotFound, VersionNotFound
from gateway.model import AppVersion


@dataclass(slots=True)
class _Served:
    """The versions of one name that `--app` gave, the last one being the current one of them."""

    versions: dict[str, AppVersion] = field(default_factory=dict)
    deployed_before: int = 0
    """The state of the deployed pointer when the gateway started. A deployment since then is newer than `--app`."""


class AppRegistry:
    """Resolves names. Looks at the file system each time, so that a deployment counts from the next call on."""

    def __init__(self, deployed: Path, served: Mapping[str, Path]) -> None:
        """`served` maps NAME or NAME@VERSION to a directory. Raises AppDirectoryError and ValueError (a name)."""
        self._deployed = deployed
        self._served: dict[str, _Served] = {}
        self._pointers: dict[str, tuple[int, AppVersion]] = {}
        self._versions: dict[tuple[str, str], AppVersion] = {}
        self._pointer_paths: dict[str, str] = {}
        for text, directory in served.items():
            self._serve(text, directory)

    def resolve(self, query: AppQuery) -> AppVersion:
        """Return the version that is meant. Raises AppNotFound and VersionNotFound."""
        found = self._current(query.name) if not query.version else self._version(query.name, query.version)
        if found is not None:
            return found
        current = self._current(query.name)
        if current is None:
            raise AppNotFound(f"no app {query.name} is deployed", metadata={"app": query.name})
        raise VersionNotFound(
            f"app {query.name} has no version {query.version}",
            metadata={"app": query.name, "version": query.version},
        )

    def current_versions(self) -> Sequence[AppVersion]:
        """Return the current version of every app, in order of the names."""
        current = {name: self._current(name) for name in sorted({*self._served, *self._deployed_names()})}
        return [app for app in current.values() if app is not None]

    def versions(self, name: str) -> Sequence[str]:
        """Return all versions of an app, the newest first."""
        home = app_directory(self._deployed, name)
        try:
            found = [entry for entry in home.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        except OSError:
            found = []
        found.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        served = self._served.get(name, _Served())
        listed = [*reversed(served.versions), *(entry.name for entry in found)]
        current = self._current(name)
        if current is not None:
            listed.insert(0, current.ref.version)
        return list(dict.fromkeys(listed))

    def _serve(self, text: str, directory: Path) -> None:
        try:
            query = names.parse(text)
        except ValueError as error:
            raise AppDirectoryError(f"--app {text}: {error}") from error
        if text.endswith("@" + names.LATEST):
            raise AppDirectoryError(f"--app {text}: {names.LATEST} cannot be the name of a version")
        if not directory.is_dir():
            raise AppDirectoryError(f"--app {text}: {directory} is not a directory")
        directory = directory.resolve()
        read_manifest(directory)  # before every file of what may be no app at all is read
        version = query.version or content_version(directory)
        served = self._served.setdefault(query.name, _Served(deployed_before=self._pointer_state(query.name)))
        served.versions.pop(version, None)
        served.versions[version] = app_version(query.name, version, directory)

    def _current(self, name: str) -> AppVersion | None:
        served = self._served.get(name)
        state = self._pointer_state(name)
        if served is not None and state == served.deployed_before:
            return list(served.versions.values())[-1]
        if not state:
            return None
        known = self._pointers.get(name)
        if known is not None and known[0] == state:
            return known[1]
        version = (app_directory(self._deployed, name) / CURRENT).read_text().strip()
        app = self._version(name, version)
        if app is not None:
            self._pointers[name] = (state, app)
        return app

    def _version(self, name: str, version: str) -> AppVersion | None:
        served = self._served.get(name)
        if served is not None and version in served.versions:
            return served.versions[version]
        known = self._versions.get((name, version))
        if known is None:
            directory = app_directory(self._deployed, name) / version
            if version == CURRENT or not directory.is_dir():
                return None
            known = self._versions[name, version] = app_version(name, version, directory)
        return known

    def _pointer_state(self, name: str) -> int:
        """Return what changes with every deployment of an app; 0 when there never was one."""
        # Asked for each call: the paths of apps that there are, and only those, are kept.
        path = self._pointer_paths.get(name) or str(app_directory(self._deployed, name) / CURRENT)
        try:
            status = os.stat(path)  # noqa: PTH116  # a Path would cost as much as the system call does
        except OSError:
            if name in self._served:
                self._pointer_paths[name] = path
            return 0
        self._pointer_paths[name] = path
        return status.st_mtime_ns ^ status.st_ino

    def _deployed_names(self) -> Sequence[str]:
        try:
            return [entry.name.replace("@", "/") for entry in self._deployed.iterdir() if entry.is_dir()]
        except OSError:
            return []
