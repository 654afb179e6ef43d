"""What a gateway with certificates says at its start, and where it may listen."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sessiongateway import Inference, UnauthenticatedError, UnavailableError
from tests.auth.issuing import issue
from tests.process.test_starting import CANNOT_START, USAGE, serve
from tests.scenarios.witness import STEADY
from tests.tls.authority import Authority, replace
from tests.tls.served import PATIENCE, TRANSPORTS, Files, check_serves, gateway, plain_socket


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.made(tmp_path)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_gateway_with_tls_may_listen_where_others_can_connect(tmp_path: Path, files: Files, transport: str) -> None:
    _, key = issue(tmp_path / "data", "me")
    with gateway(tmp_path / "data", transport, [*files.serve, "--listen", "0.0.0.0:0"]) as process:
        port = process.address.rpartition(":")[2]
        check_serves(f"127.0.0.1:{port}", files.unknown, key)
        check_serves(f"localhost:{port}", files.unknown, key)


def test_where_others_can_connect_callers_need_a_key_even_if_there_is_none_yet(tmp_path: Path, files: Files) -> None:
    with gateway(tmp_path / "data", "auto", [*files.serve, "--listen", "0.0.0.0:0"]) as process:
        port = process.address.rpartition(":")[2]
        with pytest.raises(UnauthenticatedError) as caught:
            check_serves(f"127.0.0.1:{port}", files.unknown)
        assert caught.value.run_state == "not_started"
        assert "sgw key create" in process.log


def test_where_others_can_connect_a_certificate_that_clients_need_will_do_for_a_key(
    tmp_path: Path, files: Files
) -> None:
    with gateway(tmp_path / "data", "auto", [*files.serve_known_clients, "--listen", "0.0.0.0:0"]) as process:
        port = process.address.rpartition(":")[2]
        check_serves(f"127.0.0.1:{port}", files.known)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_address_that_others_can_reach_is_refused_where_nobody_is_asked_who_calls(
    tmp_path: Path, files: Files, processes: str
) -> None:
    flags = ["--listen", "0.0.0.0:0", "--auth", "open", "--processes", processes, *files.serve]
    refused = serve(tmp_path / "data", *flags)
    assert refused.returncode == CANNOT_START
    assert all(way in refused.stderr for way in ("--auth keys", "--client-ca", "127.0.0.1", "--insecure"))


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_address_that_others_can_reach_is_refused_without_tls(tmp_path: Path, processes: str) -> None:
    refused = serve(tmp_path / "data", "--listen", "0.0.0.0:0", "--processes", processes)
    assert refused.returncode == CANNOT_START
    assert all(way in refused.stderr for way in ("--tls-cert", "--tls-key", "127.0.0.1", "--insecure"))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_file_that_cannot_be_used_keeps_the_gateway_from_starting(
    tmp_path: Path, files: Files, transport: str, processes: str
) -> None:
    replace(files.key, Authority().server().key)
    flags = ["--listen", "127.0.0.1:0", "--processes", processes, *files.serve]
    refused = serve(tmp_path / "data", *flags, environment={"SGW_SERVER_TRANSPORT": transport})
    assert refused.returncode == CANNOT_START
    assert f"sgw serve: {files.key} is not the key of the certificate in {files.certificate}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""


def test_a_key_that_grpcio_does_not_take_keeps_the_gateway_from_starting(tmp_path: Path, files: Files) -> None:
    files.authority.server(curve=ec.BrainpoolP256R1()).in_files(files.folder, "server")
    flags = ["--listen", "127.0.0.1:0", *files.serve]
    refused = serve(tmp_path / "data", *flags, environment={"SGW_SERVER_TRANSPORT": "grpcio"})
    assert refused.returncode == CANNOT_START
    assert "the key must be RSA, ECDSA P-256 or P-384" in refused.stderr


def test_half_of_what_tls_needs_is_a_mistake_in_the_settings(tmp_path: Path, files: Files) -> None:
    refused = serve(tmp_path / "data", "--tls-cert", str(files.certificate))
    assert refused.returncode == USAGE
    assert "tls_cert is given without tls_key" in refused.stderr


def test_settings_of_the_environment_and_of_the_file_serve_as_well_as_flags(tmp_path: Path, files: Files) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(f'[server]\ntls_cert = "{files.certificate}"\nclient_ca = "{files.ca}"\n')
    environment = {"SGW_SERVER_TLS_KEY": str(files.key)}
    with gateway(tmp_path / "data", "auto", ["--config", str(config)], environment) as process:
        check_serves(process.address, files.known)
        with pytest.raises(UnavailableError):
            check_serves(process.address, files.unknown)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_with_tls_gets_no_answer_from_a_gateway_without(tmp_path: Path, files: Files, transport: str) -> None:
    with (
        gateway(tmp_path / "data", transport, []) as process,
        Inference(address=process.address, timeout=PATIENCE) as other,
    ):
        session = other.session(STEADY)
        session.call({})
        with pytest.raises(UnavailableError) as caught:
            check_serves(process.address, files.known)
        assert "handshake failed" in str(caught.value)
        assert caught.value.run_state == "not_started"
        assert session.call({}).output["calls"] == 2
        session.end()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stop_waits_neither_for_peers_that_do_not_answer_nor_for_handshakes(
    tmp_path: Path, files: Files, transport: str
) -> None:
    with (
        gateway(tmp_path / "data", transport, files.serve) as process,
        plain_socket(process.address),
        Inference(address=process.address, tls=files.unknown) as client,
    ):
        client.run({"app": STEADY})
        process.terminate()
        assert process.wait(PATIENCE) == 0
