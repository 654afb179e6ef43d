"""What `make audit` finds, what it does when nobody can be asked, and what goes into a bill of materials."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from email.parser import Parser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.paths import ROOT
from tools.supply import advisories, debian, locks, maven, policy
from tools.supply.component import ECOSYSTEMS, Component

HASH = "sha256:" + "a" * 64
KV = Component("pypi", "kv", "1.0", (HASH,))
OWN = frozenset({"pypi", "npm", "golang", "cargo", "maven", "deb"})


@pytest.mark.parametrize("lock", locks.LOCKS, ids=lambda lock: lock.path)
def test_every_lock_file_is_read_whole_and_keeps_to_the_policy(lock: locks.Lock) -> None:
    components = lock.components()
    assert components
    licensed = policy.with_licences(components) if lock.path in locks.PYTHON else components
    assert list(policy.faults({lock.path: licensed})) == []


def test_no_lock_file_of_the_tree_is_left_out_and_none_says_where_a_package_comes_from() -> None:
    assert locks.unlocked() == []
    said = re.compile(r'"resolved"|^source = |registry\+', re.MULTILINE)
    assert [lock.path for lock in locks.LOCKS if said.search((ROOT / lock.path).read_text())] == []


def test_a_lock_file_that_nobody_reads_is_named(tmp_path: Path) -> None:
    (tmp_path / "clients" / "new").mkdir(parents=True)
    (tmp_path / "clients" / "new" / "go.sum").touch()
    assert locks.unlocked(tmp_path) == ["clients/new/go.sum"]


@pytest.mark.parametrize(
    ("component", "fault"),
    [
        (Component("npm", "a", "1.0"), "has no hash"),
        (Component("npm", "a", "^1.0", (HASH,)), "is no single version"),
        (Component("npm", "a", "1.0", ("md5:" + "a" * 32,)), "is no hash that holds"),
        (Component("npm", "a", "1.0", ("sha256:" + "a" * 63,)), "is no hash that holds"),
        (Component("npm", "a", "1.0", (HASH,), "AGPL-3.0-only"), "its licence is AGPL-3.0-only"),
        (Component("npm", "a", "1.0", (HASH,), "MIT AND GPL-3.0-only"), "its licence is MIT AND GPL-3.0-only"),
        (Component("npm", "a", "1.0", (HASH,), "unknown"), "its licence is unknown"),
    ],
)
def test_what_breaks_the_policy_is_named(component: Component, fault: str) -> None:
    (found,) = policy.faults({"some.lock": [component]})
    assert found.startswith("some.lock: a ")
    assert fault in found


def test_of_several_licences_one_is_enough_and_what_only_builds_may_have_any() -> None:
    either = Component("npm", "a", "1.0", (HASH,), "(MIT OR GPL-3.0-only) AND Apache-2.0")
    builds = Component("npm", "b", "1.0", (HASH,), "GPL-3.0-only", runtime=False)
    assert list(policy.faults({"some.lock": [either, builds]})) == []


def test_python_s_packages_are_delivered_if_the_project_needs_them_however_indirectly() -> None:
    found = {component.name: component.runtime for component in locks.pip((ROOT / "requirements/dev.lock").read_text())}
    assert {"grpcio", "pydantic-core", "markdown-it-py", "opentelemetry-sdk"} <= {name for name in found if found[name]}
    assert not {"pytest", "ruff", "numpy", "pyte", "wcwidth"} & {name for name in found if found[name]}


def test_packages_of_npm_have_their_own_names_also_where_two_versions_are_installed() -> None:
    digest = base64.b64encode(bytes(64)).decode()
    packages = {
        "": {"name": "own"},
        "node_modules/@a/b": {"version": "1.0.0", "integrity": f"sha512-{digest}", "license": "MIT"},
        "node_modules/c/node_modules/@a/b": {"version": "2.0.0", "integrity": f"sha512-{digest}", "dev": True},
    }
    first, second = locks.npm(json.dumps({"packages": packages}))
    assert first == Component("npm", "@a/b", "1.0.0", ("sha512:" + "0" * 128,), "MIT")
    assert (second.name, second.version, second.runtime) == ("@a/b", "2.0.0", False)
    assert first.purl == "pkg:npm/%40a/b@1.0.0"


def test_the_lock_of_java_has_each_artifact_once_with_its_hash_and_the_scope_that_delivers_most(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"")
    own = f"com.sessiongateway:own:jar:1:compile:{jar}"
    told = f"\n   org.a:a:jar:1.0:test:{jar}\n   {own}\n   org.a:a:jar:1.0:runtime:{jar} -- module a"
    (line,) = maven.lock_of(told).splitlines()[1:]
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert line == f"org.a:a:1.0 runtime sha256:{empty}"
    (component,) = locks.maven(line)
    assert component.purl == "pkg:maven/org.a/a@1.0"
    assert component.runtime


def test_every_dependency_of_the_rust_client_is_pinned() -> None:
    manifest = (ROOT / "clients/rust/Cargo.toml").read_text().partition("[dependencies]\n")[2].partition("\n[")[0]
    wanted = set(re.findall(r"^([\w-]+) =", manifest, re.MULTILINE))
    assert wanted
    assert wanted <= {component.name for component in locks.cargo((ROOT / "clients/rust/Cargo.pins").read_text())}


def test_the_locks_of_debian_have_all_that_the_scripts_install_and_that_is_delivered() -> None:
    for client in debian.CLIENTS:
        locked = {each.name: each.runtime for each in locks.debian((ROOT / client.lock).read_text())}
        assert {f"debian/{name}" for name in client.packages()} <= set(locked)
        assert all(locked[f"debian/{name}"] for name in client.delivered)
        assert locked["debian/libgrpc29"]


def test_the_gems_of_the_ruby_client_are_locked_in_versions_that_its_gemspec_allows() -> None:
    wanted = re.findall(
        r'dependency "([^"]+)", "(?:~>|>=) ([0-9.]+)"', (ROOT / "clients/ruby/sessiongateway.gemspec").read_text()
    )
    assert len(wanted) == 4
    locked = {each.name: each.version for each in locks.debian((ROOT / "clients/ruby/packages.lock").read_text())}
    for gem, least in wanted:
        found, bound = (
            [int(each) for each in version.split(".")[:2]] for version in (locked[f"debian/ruby-{gem}"], least)
        )
        assert found[0] == bound[0], gem
        assert found >= bound, gem


def test_a_package_of_debian_is_locked_with_its_source_and_what_it_needs_is_known() -> None:
    about = Parser().parsestr(
        "Package: liba1\nVersion: 1.2-3+b1\nSource: a (1.2-3)\nPre-Depends: libb (>= 2)\n"
        f"Depends: libc:any | libd, libe\nSHA256: {'0' * 64}"
    )
    assert list(debian.needs(about)) == ["libb", "libc", "libe"]
    *_, line = debian.lock_of({"liba1": about}, {"liba1"}).splitlines()
    (component,) = locks.debian(line)
    assert (component.purl, component.runtime) == ("pkg:deb/debian/liba1@1.2-3%2Bb1", True)
    assert component.source == ("a", "1.2-3")
    (other,) = locks.debian(debian.lock_of({"liba1": about}, ()).splitlines()[-1])
    assert not other.runtime


def test_advisories_speak_of_debian_s_sources_and_only_those_count_that_the_distribution_has_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = Component("deb", "debian/libgrpc29", "1-3+b1", (HASH,), source=("grpc", "1-3"))
    with database(200, {"results": [{"vulns": [{"id": "CVE-1"}, {"id": "DSA-2"}]}]}) as (url, asked):
        monkeypatch.setenv("OSV_URL", url)
        found = advisories.ask_osv([package])
    assert asked[0][1]["queries"] == [{"version": "1-3", "package": {"name": "grpc", "ecosystem": "Debian:12"}}]
    assert found.advisories == [("debian/libgrpc29 1-3+b1", "DSA-2")]


@contextmanager
def database(status: int, answer: Any) -> Iterator[tuple[str, list[Any]]]:
    """A database of advisories that answers this, with what it is asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Be silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_the_common_database_is_asked_for_each_version_and_what_it_knows_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crate = Component("cargo", "safe", "2.0", (HASH,))
    with database(200, {"results": [{"vulns": [{"id": "GHSA-1"}, {"id": "GHSA-2"}]}, {}]}) as (url, asked):
        monkeypatch.setenv("OSV_URL", url)
        found = advisories.ask_osv([KV, crate])
    ((path, question),) = asked
    assert path == "/v1/querybatch"
    assert question["queries"][0] == {"version": "1.0", "package": {"name": "kv", "ecosystem": "PyPI"}}
    assert question["queries"][1]["package"]["ecosystem"] == "crates" + ".io"
    assert (found.checked, found.advisories) == (2, [("kv 1.0", "GHSA-1"), ("kv 1.0", "GHSA-2")])
    assert list(advisories.standing(found.advisories, {"GHSA-1": "looked at"})) == ["kv 1.0: GHSA-2"]


@pytest.mark.parametrize(("status", "answer"), [(500, {}), (200, {}), (200, {"results": []}), (200, "what")])
def test_a_database_that_does_not_answer_is_no_clean_bill(
    monkeypatch: pytest.MonkeyPatch, status: int, answer: Any
) -> None:
    def silent() -> advisories.Found:
        raise advisories.NotAsked("nor does it")

    with database(status, answer) as (url, _):
        monkeypatch.setenv("OSV_URL", url)
        found, reasons = advisories.asked([KV], [silent])
    assert found is None
    assert len(reasons) == 2
    assert url in reasons[0]


def test_the_next_one_is_asked_when_the_first_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSV_URL", "http://127.0.0.1:1")
    other = advisories.Found("another", 1)
    assert advisories.asked([KV], [lambda: other])[0] is other


def test_an_advisory_that_was_accepted_counts_again_when_its_day_has_come(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text('[[accepted]]\nid = "GHSA-1"\nwhy = "not called"\nuntil = 2030-01-31\n')
    assert advisories.accepted(path, date(2030, 1, 30)) == {"GHSA-1": "not called"}
    assert advisories.accepted(path, date(2030, 1, 31)) == {}


def test_every_ecosystem_that_is_locked_can_be_asked_about() -> None:
    assert {component.type for found in locks.all_components().values() for component in found} == OWN
    assert set(ECOSYSTEMS) == OWN
