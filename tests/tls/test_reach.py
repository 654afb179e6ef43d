"""Why a gateway cannot be reached, found out with real gateways and with peers that are none."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.cli.exits import Exit
from gateway.cli.root import run
from gateway.doctor.finding import Status
from gateway.doctor.live import Caller, live
from gateway.doctor.reach import Files as Shown
from gateway.doctor.reach import Outcome, Reach, reach
from tests.cli.conftest import completed
from tests.scenarios.witness import STEADY
from tests.tls.authority import Authority, expired
from tests.tls.served import TRANSPORTS, Files, gateway


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=TRANSPORTS)
def addresses(request: pytest.FixtureRequest, files: Files) -> Iterator[dict[str, str]]:
    flags = {"plain": [], "tls": files.serve, "mutual": files.serve_known_clients}
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(gateway(files.folder / f"{request.param}-{kind}", request.param, given)).address
            for kind, given in flags.items()
        }


def clients(files: Files) -> dict[str, Shown | None]:
    stranger, late = Authority(), files.authority.client(**expired())
    strange = stranger.client().in_files(files.folder, "strange")
    return {
        "plain": None,
        "tls": Shown(files.ca),
        "mutual": Shown(files.ca, files.client_certificate, files.client_key),
        "trusts another": Shown(stranger.in_file(files.folder, "other-ca")),
        "signed by another": Shown(files.ca, *strange),
        "expired": Shown(files.ca, *late.in_files(files.folder, "late")),
    }


@pytest.mark.parametrize(
    ("client", "kind", "expected"),
    [
        ("plain", "plain", Reach.OK),
        ("plain", "tls", Reach.WANTS_TLS),
        ("plain", "mutual", Reach.WANTS_TLS),
        ("tls", "plain", Reach.SPEAKS_NO_TLS),
        ("tls", "tls", Reach.OK),
        ("tls", "mutual", Reach.WANTS_CERTIFICATE),
        ("mutual", "mutual", Reach.OK),
        ("mutual", "tls", Reach.OK),
        ("mutual", "plain", Reach.SPEAKS_NO_TLS),
        ("trusts another", "tls", Reach.NOT_TRUSTED),
        ("signed by another", "mutual", Reach.CERTIFICATE_REFUSED),
        ("expired", "mutual", Reach.CERTIFICATE_REFUSED),
    ],
)
def test_a_connection_tells_what_does_not_fit(
    addresses: dict[str, str], files: Files, client: str, kind: str, expected: Reach
) -> None:
    outcome = reach(addresses[kind], clients(files)[client])
    assert outcome.reach is expected, outcome
    assert bool(outcome.do) is (expected is not Reach.OK)


def test_a_certificate_for_other_names_is_told(addresses: dict[str, str], files: Files) -> None:
    port = addresses["tls"].rpartition(":")[2]
    assert reach(f"127.0.0.2:{port}", Shown(files.ca)).reach in (Reach.OTHER_NAME, Reach.REFUSED)


def test_a_certificate_that_has_expired_is_told(tmp_path: Path) -> None:
    authority = Authority()
    times = expired()
    certificate, key = authority.server(times["begins"], times["ends"]).in_files(tmp_path, "server")
    flags = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with gateway(tmp_path / "data", "auto", flags) as process:
        outcome = reach(process.address, Shown(authority.in_file(tmp_path, "ca")))
    assert outcome.reach is Reach.OUT_OF_DATE
    assert "expired" in outcome.message


@contextmanager
def peer(answer: bytes | None) -> Iterator[str]:
    """Serve one kind of answer to everybody: these bytes, and the end; or None, nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                if answer is None:
                    kept.append(connection)
                    continue
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


@pytest.mark.parametrize("tls", [None, Shown()])
def test_what_is_no_gateway_is_told(tls: Shown | None) -> None:
    with peer(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        assert reach(address, tls).reach is Reach.OTHER_PROTOCOL
    with peer(b"") as address:
        assert reach(address, tls).reach is Reach.OTHER_PROTOCOL
    with peer(None) as address:
        assert reach(address, tls, patience=0.2).reach is Reach.SILENT


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", Reach.REFUSED),
        ("no-such-host.invalid:1", Reach.UNKNOWN_NAME),
        ("127.0.0.1:99999", Reach.NOT_TRIED),
        ("unix:/tmp/x", Reach.NOT_TRIED),
        ("dns:///127.0.0.1:1", Reach.REFUSED),
        ("nonsense", Reach.NOT_TRIED),
    ],
)
def test_addresses_at_which_nothing_is_are_told(address: str, expected: Reach) -> None:
    assert reach(address, None).reach is expected


def test_every_outcome_but_the_good_one_says_what_to_do() -> None:
    silent = {each for each in Reach if not Outcome(each, "").do}
    assert silent == {Reach.OK, Reach.NOT_TRIED}


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ([], "mutual", ["The gateway wants TLS.", "--tls-ca"]),
        (["--tls-ca"], "mutual", ["wants to see a client's certificate", "--tls-cert and --tls-key"]),
        (["--tls-ca"], "plain", ["The gateway does not serve TLS.", "Leave --tls"]),
        (["--tls"], "tls", ["is not trusted", "--tls-ca"]),
    ],
)
def test_a_command_says_what_is_missing_and_nothing_of_grpc_beside_it(
    addresses: dict[str, str], files: Files, options: list[str], kind: str, words: list[str]
) -> None:
    with_files = [
        word for option in options for word in ((option, str(files.ca)) if option == "--tls-ca" else (option,))
    ]
    for command in (["session", "list"], ["app", "run", STEADY]):
        result = completed(*command, "--address", addresses[kind], *with_files)
        told = result.stderr.decode()
        assert result.returncode == Exit.UNREACHABLE
        assert [word for word in words if word not in told] == []
        assert told.startswith("error: UNAVAILABLE\n")


def test_programs_get_the_advice_too(addresses: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["session", "get", "sess_x", "--json", "--address", addresses["tls"]]) == Exit.UNREACHABLE
    error = json.loads(capfd.readouterr().err)["error"]
    assert (error["code"], error["meaning"]) == ("UNAVAILABLE", "The gateway wants TLS.")
    assert "--tls-ca" in error["do"]


LOOKED_AT = [
    ("plain", False, {"gateway": "ok", "health": "ok", "authentication": "ok", "clock": "skipped"}),
    ("mutual", True, {"gateway": "ok", "health": "ok", "authentication": "ok"}),
    ("mutual", False, {"gateway": "failed", "health": "skipped"}),
]


@pytest.mark.parametrize("case", LOOKED_AT)
def test_doctor_looks_at_a_gateway_that_runs(
    addresses: dict[str, str],
    files: Files,
    capfd: pytest.CaptureFixture[str],
    case: tuple[str, bool, dict[str, str]],
) -> None:
    kind, shows_itself, statuses = case
    named = {"--tls-ca": files.ca, "--tls-cert": files.client_certificate, "--tls-key": files.client_key}
    options = [word for name, path in named.items() for word in (name, str(path))] if shows_itself else []
    code = run(["doctor", "--address", addresses[kind], "--data-dir", str(files.folder / "none"), *options, "--json"])
    found = {finding["check"]: finding["status"] for finding in json.loads(capfd.readouterr().out)["findings"]}
    assert {name: found[name] for name in statuses} == statuses
    assert code == (Exit.OTHER if "failed" in statuses.values() else Exit.OK)


@pytest.mark.parametrize("kind", ["tls", "mutual"])
def test_doctor_does_not_hold_it_against_a_gateway_that_nobody_told_it_how_to_call(
    addresses: dict[str, str], kind: str
) -> None:
    assert {finding.status for finding in live(Caller(addresses[kind], expected=False))} == {Status.SKIPPED}
    assert {finding.status for finding in live(Caller(addresses["plain"], expected=False))} == {
        Status.OK,
        Status.SKIPPED,
    }
