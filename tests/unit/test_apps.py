"""Apps: names, manifests, deployments that never change, and which version a name means."""

import os
import re
from pathlib import Path

import pytest

from gateway.apps import names
from gateway.apps.deploy import CURRENT, app_directory, deploy
from gateway.apps.manifest import AppDirectoryError, app_version, content_version, read_manifest
from gateway.apps.names import AppQuery
from gateway.apps.registry import AppRegistry
from gateway.errors import AppNotFound, VersionNotFound


def source(directory: Path, content: str = "# v1\n", manifest: str = "") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "app.py").write_text(content)
    if manifest:
        (directory / "app.toml").write_text(manifest)
    return directory


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    return tmp_path / "apps"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("kv", AppQuery("kv")),
        ("kv@latest", AppQuery("kv")),
        ("kv@1", AppQuery("kv", "1")),
        ("acme/kv@1.0-rc.2", AppQuery("acme/kv", "1.0-rc.2")),
        ("a", AppQuery("a")),
        ("A.b_c-9@" + "v" * 64, AppQuery("A.b_c-9", "v" * 64)),
        ("x" * 64, AppQuery("x" * 64)),
    ],
)
def test_names_are_read(text: str, query: AppQuery) -> None:
    assert names.parse(text) == query


@pytest.mark.parametrize(
    "text",
    [
        *[
            "@",
            "kv@",
            "@1",
            "a/b/c",
            "/kv",
            "kv/",
            ".kv",
            "kv.",
            "-kv",
            "kv@1@2",
            "ä",
            "kv@.1",
            "kv@-1",
            "../kv",
            "kv@../1",
            "kv@a/b",
            "..",
            "a/..",
        ],
        *["", "k v", "kv\n", "kv@1\n", "k\0v", "x" * 65, "kv@" + "v" * 65],
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"name|version"):
        names.parse(text)


def test_a_query_reads_as_it_was_meant() -> None:
    assert [str(AppQuery("kv")), str(AppQuery("kv", "1"))] == ["kv@latest", "kv@1"]


def test_a_directory_without_a_manifest_has_the_defaults(tmp_path: Path) -> None:
    app = app_version("kv", "1", source(tmp_path / "kv"))
    assert (app.default_function, app.interpreter, app.start_method, app.concurrency) == ("", "", "fork", 1)
    assert app.min_idle is None


def test_a_manifest_says_how_an_app_runs(tmp_path: Path) -> None:
    text = 'name = "acme/kv"\ndefault_function = "get"\nstart_method = "spawn"\nconcurrency = 8\nmin_idle = 0\n'
    manifest = read_manifest(source(tmp_path / "kv", manifest=text))
    assert (manifest.name, manifest.default_function, manifest.start_method) == ("acme/kv", "get", "spawn")
    assert (manifest.concurrency, manifest.min_idle) == (8, 0)


def test_everything_that_is_wrong_with_a_manifest_is_told_at_once(tmp_path: Path) -> None:
    text = 'name = "no name"\nconcurrency = 0\nstart_method = "thread"\nmin_idle = "2"\ninterpreter = "python"\nx = 1\n'
    with pytest.raises(AppDirectoryError) as caught:
        read_manifest(source(tmp_path / "kv", manifest=text))
    for key in ("name", "concurrency", "start_method", "min_idle", "interpreter", "x:"):
        assert key in str(caught.value)


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"name = 1", b"a=" + 5000 * b"9", b"a=" + 5000 * b"["])
def test_a_manifest_that_cannot_be_read_is_told_with_its_path(tmp_path: Path, content: bytes) -> None:
    (source(tmp_path / "kv") / "app.toml").write_bytes(content)
    with pytest.raises(AppDirectoryError, match=r"app\.toml"):
        read_manifest(tmp_path / "kv")


def test_a_directory_without_code_is_no_app(tmp_path: Path) -> None:
    (tmp_path / "kv").mkdir()
    with pytest.raises(AppDirectoryError, match=r"no app\.py"):
        read_manifest(tmp_path / "kv")


def test_a_version_is_named_by_the_content_alone(tmp_path: Path) -> None:
    one, two = source(tmp_path / "one"), source(tmp_path / "two")
    (two / "__pycache__").mkdir()
    (two / "__pycache__" / "app.pyc").write_bytes(b"x")
    (two / ".git").mkdir()
    (two / ".git" / "HEAD").write_text("x")
    os.utime(two / "app.py", (1, 1))
    assert content_version(one) == content_version(two)
    assert re.fullmatch("[0-9a-f]{12}", content_version(one))


def test_another_path_bit_or_content_is_another_version(tmp_path: Path) -> None:
    directory = source(tmp_path / "kv")
    seen = {content_version(directory)}
    (directory / "data").write_text("1")
    seen.add(content_version(directory))
    (directory / "data").chmod(0o755)
    seen.add(content_version(directory))
    (directory / "data").rename(directory / "date")
    seen.add(content_version(directory))
    (directory / "date").write_text("2")
    seen.add(content_version(directory))
    assert len(seen) == 5


def test_a_deployment_is_a_copy_that_is_not_written_to(tmp_path: Path, apps: Path) -> None:
    directory = source(tmp_path / "kv")
    (directory / "tool").write_text("#!/bin/sh\n")
    (directory / "tool").chmod(0o755)
    app = deploy(directory, apps)
    (directory / "app.py").write_text("changed")
    assert (app.directory / "app.py").read_text() == "# v1\n"
    assert app.directory == app_directory(apps, "kv") / app.ref.version
    assert (app.directory / "app.py").stat().st_mode & 0o222 == 0
    assert (app.directory / "tool").stat().st_mode & 0o111
    assert app_version("kv", app.ref.version, app.directory) == app


def test_the_same_content_is_the_same_version(tmp_path: Path, apps: Path) -> None:
    first = deploy(source(tmp_path / "one"), apps, "kv")
    second = deploy(source(tmp_path / "two"), apps, "kv")
    assert first == second
    assert AppRegistry(apps, {}).versions("kv") == [first.ref.version]


def test_the_name_is_the_one_given_or_the_manifests_or_the_directorys(tmp_path: Path, apps: Path) -> None:
    plain, named = source(tmp_path / "plain"), source(tmp_path / "x", manifest='name = "acme/kv"\n')
    assert deploy(plain, apps).ref.name == "plain"
    assert deploy(named, apps).ref.name == "acme/kv"
    assert deploy(named, apps, "other").ref.name == "other"
    with pytest.raises(AppDirectoryError, match="not an app's name"):
        deploy(source(tmp_path / "no name"), apps)


def test_a_deployment_leaves_nothing_but_versions_and_the_pointer(tmp_path: Path, apps: Path) -> None:
    versions = {deploy(source(tmp_path / "kv", f"# {n}\n"), apps).ref.version for n in range(3)}
    assert {entry.name for entry in (apps / "kv").iterdir()} == versions | {CURRENT}


def test_a_deployment_that_fails_changes_nothing(tmp_path: Path, apps: Path) -> None:
    first = deploy(source(tmp_path / "kv"), apps)
    os.mkfifo(tmp_path / "kv" / "pipe")
    with pytest.raises(AppDirectoryError, match="pipe"):
        deploy(tmp_path / "kv", apps)
    assert AppRegistry(apps, {}).resolve(AppQuery("kv")) == first
    assert {entry.name for entry in (apps / "kv").iterdir()} == {first.ref.version, CURRENT}


def test_a_link_to_nowhere_is_told_by_its_name(tmp_path: Path, apps: Path) -> None:
    (source(tmp_path / "kv") / "dangling").symlink_to("nowhere")
    with pytest.raises(AppDirectoryError, match="dangling"):
        deploy(tmp_path / "kv", apps)


def test_names_with_and_without_a_namespace_do_not_meet(tmp_path: Path, apps: Path) -> None:
    one = deploy(source(tmp_path / "a", "# 1\n"), apps, "acme/kv")
    two = deploy(source(tmp_path / "b", "# 2\n"), apps, "kv")
    three = deploy(source(tmp_path / "c", "# 3\n"), apps, "acme")
    registry = AppRegistry(apps, {})
    assert [registry.resolve(AppQuery(name)) for name in ("acme/kv", "kv", "acme")] == [one, two, three]
    assert [app.ref.name for app in registry.current_versions()] == ["acme", "acme/kv", "kv"]


def test_a_registry_sees_each_deployment_at_once(tmp_path: Path, apps: Path) -> None:
    registry = AppRegistry(apps, {})
    with pytest.raises(AppNotFound) as missing:
        registry.resolve(AppQuery("kv"))
    assert missing.value.metadata == {"app": "kv"}
    deployed = []
    for number in range(3):
        deployed.append(deploy(source(tmp_path / "kv", f"# {number}\n"), apps))
        assert registry.resolve(AppQuery("kv")) == deployed[-1]
    assert deploy(source(tmp_path / "kv", "# 0\n"), apps) == deployed[0]
    assert registry.resolve(AppQuery("kv")) == deployed[0]
    assert registry.versions("kv")[0] == deployed[0].ref.version
    assert set(registry.versions("kv")) == {app.ref.version for app in deployed}
    for app in deployed:
        assert registry.resolve(AppQuery("kv", app.ref.version)) == app


@pytest.mark.parametrize("version", ["nothing", CURRENT])
def test_a_version_that_is_not_there_is_told(tmp_path: Path, apps: Path, version: str) -> None:
    deploy(source(tmp_path / "kv"), apps)
    with pytest.raises(VersionNotFound) as caught:
        AppRegistry(apps, {}).resolve(AppQuery("kv", version))
    assert caught.value.metadata == {"app": "kv", "version": version}


def test_of_several_served_versions_the_last_one_is_current(tmp_path: Path, apps: Path) -> None:
    one, two = source(tmp_path / "one", "# 1\n"), source(tmp_path / "two", "# 2\n")
    registry = AppRegistry(apps, {"kv@1": one, "kv@2": two, "plain": one})
    assert registry.resolve(AppQuery("kv")).ref.version == "2"
    assert registry.resolve(AppQuery("kv", "1")).directory == one
    assert registry.resolve(AppQuery("plain")).ref.version == content_version(one)
    assert registry.versions("kv") == ["2", "1"]


def test_served_directories_come_before_what_was_deployed_earlier_and_after_what_is_deployed_later(
    tmp_path: Path, apps: Path
) -> None:
    served = source(tmp_path / "served", "# served\n")
    earlier = deploy(source(tmp_path / "kv", "# earlier\n"), apps)
    registry = AppRegistry(apps, {"kv": served})
    assert registry.resolve(AppQuery("kv")).directory == served
    assert registry.resolve(AppQuery("kv", earlier.ref.version)) == earlier
    later = deploy(source(tmp_path / "kv", "# later\n"), apps)
    assert registry.resolve(AppQuery("kv")) == later
    assert registry.versions("kv")[0] == later.ref.version


@pytest.mark.parametrize("text", ["no name", "kv@latest", "kv@", "a/b/c"])
def test_a_served_name_that_is_none_is_told(tmp_path: Path, apps: Path, text: str) -> None:
    with pytest.raises(AppDirectoryError, match="--app"):
        AppRegistry(apps, {text: source(tmp_path / "kv")})


def test_a_served_path_that_is_no_app_is_told(tmp_path: Path, apps: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(AppDirectoryError):
            AppRegistry(apps, {"kv": path})
