"""What the pages name exists, and they name what they must."""

import re
import shlex
from collections.abc import Iterator

import click
import grpc
import pytest

from gateway import process_environment
from gateway.apps.manifest import IGNORED, Manifest
from gateway.cli.root import sgw
from gateway.config import CLIENT_VARIABLES, environment_name, setting_paths
from gateway.rpc import absent
from gateway.worker.process import KEPT_VARIABLES
from gateway.workers.pooled import WorkerState
from sessiongateway.v1 import errors_pb2, sessions_pb2
from tests.repository.test_commands import targets_for_people
from tests.repository.tree import files, name_of
from tools.docs import PAGES as GENERATED
from tools.paths import ROOT

README_LINES = 160
PAGES = {
    name_of(path): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if name_of(path) not in GENERATED
}
ADRS = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))

# Names in capitals that come from elsewhere.
FOREIGN_NAMES = {
    "CAP_SETUID",
    "CLOCK_BOOTTIME",
    "NO_COLOR",
    "OMP_NUM_THREADS",
    "PR_SET_CHILD_SUBREAPER",
    "SCHED_BATCH",
    "SCHED_OTHER",
    "SO_REUSEPORT",
} | {f"RLIMIT_{name}" for name in ("AS", "DATA", "FSIZE", "LOCKS", "NOFILE", "NPROC")}
# OpenTelemetry's own.
FOREIGN_NAMES |= {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"}
# Of `make audit`.
FOREIGN_NAMES |= {"AUDIT_ALL", "OSV_URL"}
# What libraries of TLS say of a handshake that failed.
FOREIGN_NAMES |= {"CERTIFICATE_VERIFY_FAILED", "TLSV1_ALERT_CERTIFICATE_REQUIRED", "TSI_DATA_CORRUPTED"}
FOREIGN_NAMES |= {"WRONG_VERSION_NUMBER"}


def quoted(text: str) -> list[str]:
    """Return what stands between single backticks, outside of code blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each `sgw` command in the shell blocks of a page."""
    for block in re.findall(r"^```(?:sh|console)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r" [|&;]+ ", line.removeprefix("$ ")):
                if part.startswith("sgw "):
                    yield shlex.split(part, comments=True)[1:]


def names_in_capitals() -> set[str]:
    """Return every code, state, reason and variable that a page may name."""
    enums = [errors_pb2.ErrorCode, errors_pb2.RunState, errors_pb2.EndReason, sessions_pb2.SessionStatus]
    full = {name for enum in enums for name in enum.DESCRIPTOR.values_by_name}
    prefixes = r"^(ERROR_CODE|RUN_STATE|END_REASON|SESSION_STATUS)_"
    short = {re.sub(prefixes, "", name) for name in full}
    statuses = {status.name for status in grpc.StatusCode} | {state.name for state in WorkerState}
    health = {"SERVING", "NOT_SERVING", absent.SERVICE_NOT_FOUND, absent.CHANNELZ_NOT_FOUND}
    variables = {environment_name(path) for path in setting_paths()} | CLIENT_VARIABLES | {"SGW_WORKER_ID"}
    return full | short | statuses | health | variables | {*KEPT_VARIABLES} | {*process_environment.VARIABLES}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_codes_and_variables_that_exist(page: str) -> None:
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", PAGES[page]))
    assert named - names_in_capitals() - FOREIGN_NAMES == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_settings_that_exist(page: str) -> None:
    named = {
        name
        for name in quoted(PAGES[page])
        if re.fullmatch(r"(server|auth|sessions|workers|metrics|tracing|log)\.(?!py$|db$)\w+", name)
    }
    assert named - set(setting_paths()) == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_targets_of_make_that_exist(page: str) -> None:
    text = PAGES[page]
    named = {target for name in quoted(text) for target in re.findall(r"^make ([a-z-]+)", name)}
    named |= set(re.findall(r"^\$ make ([a-z-]+)", text, re.MULTILINE))
    assert named - targets_for_people() == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_files_that_exist(page: str) -> None:
    names = set(quoted(PAGES[page]))
    paths = {name for name in names if re.match(r"(gateway|clients|docs|examples|proto|tests|tools)/[\w./-]*$", name)}
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []
    modules = {name for name in names if re.fullmatch(r"\w+\.py", name)}
    assert modules - {path.name for path in files(".py")} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_a_page_is_one_that_sgw_understands(page: str) -> None:
    for words in commands(PAGES[page]):
        command: click.Command = sgw
        rest = words
        context = click.Context(sgw)
        while isinstance(command, click.Group):
            found = command.get_command(context, rest[0])
            assert found is not None, f"sgw {shlex.join(words)}"
            command, rest = found, rest[1:]
        command.make_parser(click.Context(command)).parse_args(rest)


def test_the_page_about_apps_has_every_key_of_the_manifest() -> None:
    section = PAGES["docs/apps.md"].partition("## app.toml\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(Manifest.model_fields)


def test_the_page_about_apps_has_every_variable_and_ignored_directory() -> None:
    assert {*KEPT_VARIABLES, *IGNORED} - set(quoted(PAGES["docs/apps.md"])) == set()


def test_the_readme_fits_on_two_screens_and_names_the_commands() -> None:
    text = PAGES["README.md"]
    assert len(text.splitlines()) <= README_LINES
    assert {"make demo", "make test", "make serve"} <= set(quoted(text))


def test_the_readme_says_only_of_errors_that_there_are_what_to_do() -> None:
    table = PAGES["README.md"].partition("## When it fails\n")[2].partition("\n\nEach")[0]
    rows = re.findall(r"^\| ([A-Z_, ]+) \|", table, re.MULTILINE)
    codes = {code for row in rows for code in row.split(", ")}
    assert codes
    assert {f"ERROR_CODE_{code}" for code in codes} <= set(errors_pb2.ErrorCode.keys())


def test_decisions_are_numbered_without_gaps_and_have_the_same_parts() -> None:
    assert [name[:4] for name in ADRS] == [f"{number:04}" for number in range(1, len(ADRS) + 1)]
    for name in ADRS:
        headings = re.findall(r"^#+ (.*)$", PAGES[f"docs/adr/{name}"], re.MULTILINE)
        assert headings[0].startswith(f"{int(name[:4])}. "), name
        assert {"Context", "Decision", "Consequences"} <= set(headings), name


def test_every_page_that_the_code_refers_to_exists() -> None:
    named = {
        page
        for path in files(".py", ".proto", ".toml", "Makefile")
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert named
    assert [page for page in sorted(named) if not (ROOT / page).exists() and "no-such" not in page] == []
