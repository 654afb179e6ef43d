"""`sgw top` against a real gateway, on a terminal and into a pipe."""

import re
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sessiongateway
from gateway.testing.process import GatewayProcess
from gateway.testing.waiting import until
from tests.cli.conftest import EXAMPLES, NOBODY_THERE, Sgw, eventually
from tests.cli.pseudo_terminal import PseudoTerminal

Terminal = Callable[..., PseudoTerminal]
QUICK = ("--interval", "0.2")
APPS = {"kv": EXAMPLES / "kv", "team/kv": EXAMPLES / "kv"}


class Counted:
    """A gateway with a metrics port, and a caller of it."""

    def __init__(self, process: GatewayProcess) -> None:
        self.process = process
        self.metrics = ""

    def run(self, **fields: object) -> sessiongateway.RunResult:
        """Make one call of kv."""
        with sessiongateway.Inference(address=self.process.address) as client:
            return client.run({"app": "kv", **fields})


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    flags = ("--metrics-address", "127.0.0.1:0", "--processes", "2", "--max-workers", "8", "--log-level", "info")
    with GatewayProcess(tmp_path_factory.mktemp("counted"), APPS, flags) as process:
        counted = Counted(process)
        eventually(lambda: "metrics at http" in process.log)
        port = re.findall(r"metrics at (http://\S+)", process.log)
        counted.metrics = port[0]
        yield counted


@pytest.fixture
def counted(started: Counted, environment: None, monkeypatch: pytest.MonkeyPatch) -> Counted:
    monkeypatch.setenv("SGW_ADDRESS", started.process.address)
    monkeypatch.setenv("SGW_DATA_DIR", str(started.process.data_dir))
    monkeypatch.setenv("SGW_METRICS_ADDRESS", started.metrics.removeprefix("http://").removesuffix("/metrics"))
    return started


def echoed(screen: PseudoTerminal) -> bool:
    """Whether what is typed is shown by the terminal itself, as before a program changes that."""
    return bool(screen.mode & termios.ECHO)


def test_into_a_pipe_there_is_one_document_of_one_interval(sgw: Sgw, counted: Counted) -> None:
    opened = counted.run(session="new")
    found = sgw("top", *QUICK).json
    gateway = found["gateway"]
    assert (gateway["version"], gateway["processes"], gateway["processes_up"]) == ("0.1.0", 2, 2)
    assert gateway["serving"] is gateway["store_available"] is True
    assert gateway["workers_limit"] == 8
    assert gateway["calls"] == 0.0
    assert found["interval"] >= 0.2
    assert found["notes"] == []
    (session,) = [each for each in found["sessions"] if each["session_id"] == opened.session_id]
    assert (session["app"], session["calls"], session["rate"]) == ("kv", 1, 0.0)
    assert session["memory"] > 1_000_000
    apps = {row["name"]: row for row in found["apps"]}
    assert set(apps) == set(APPS)
    assert apps["kv"]["sessions"] == gateway["sessions"] >= 1


def test_rates_latencies_and_errors_are_those_of_the_interval(counted: Counted, terminal: Terminal) -> None:
    opened = counted.run(session="new")
    screen = terminal("top", *QUICK)
    eventually(lambda: "q quit" in screen.text)

    def row_of(app: str) -> list[str]:
        counted.run(session=opened.session_id)
        with pytest.raises(sessiongateway.FunctionNotFoundError):
            counted.run(session=opened.session_id, function="no_such")
        return next((line.split() for line in screen.text.splitlines() if line.split()[:1] == [app]), [])

    eventually(lambda: all(re.fullmatch(r"[\d,]+(\.\d)?", cell) for cell in row_of("kv")[7:9]))
    row = row_of("kv")
    assert all(unit in ("µs", "ms", "s") for unit in row[10::2])
    # No call of the other one has been made: nothing is known of how long they take.
    assert row_of("team/kv")[-1] == "–"
    screen.press("q")
    assert screen.wait() == 0


def in_order(text: str, first: str, second: str) -> bool:
    """Return whether both are there, one before the other. Of a screen that is being drawn neither may be."""
    return -1 < text.find(first) < text.find(second)


def fills(lines: list[str], columns: int, rows: int) -> bool:
    """Return whether a screen is as large as that, with the keys on its last line."""
    whole = len(lines) == rows and lines[-1].startswith("q quit")
    return whole and all(len(line) <= columns for line in lines)


def test_keys_sort_scroll_and_quit_and_the_terminal_is_left_as_it_was(counted: Counted, terminal: Terminal) -> None:
    few, many = (counted.run(session="new").session_id for _ in range(2))
    for _ in range(3):
        counted.run(session=many)
    screen = terminal("top", *QUICK)
    eventually(lambda: few in screen.text and many in screen.text)
    screen.press("c")
    eventually(lambda: in_order(screen.text, many, few))
    assert not echoed(screen)
    screen.resize(80, 16)
    eventually(lambda: fills(screen.text.splitlines(), 80, 16))
    screen.press("q")
    assert screen.wait() == 0
    assert echoed(screen)
    # The last thing that a program on the other screen does is to leave it.
    assert screen.raw.rindex(b"\x1b[?1049l") > screen.raw.rindex(b"q")


def test_ctrl_c_ends_it_without_a_word(counted: Counted, terminal: Terminal) -> None:
    screen = terminal("top", *QUICK)
    eventually(lambda: "q quit" in screen.text)
    screen.interrupt()
    assert screen.wait() == 130
    assert echoed(screen)
    assert b"Traceback" not in screen.raw


def test_sigterm_leaves_the_terminal_as_it_was(counted: Counted, terminal: Terminal) -> None:
    screen = terminal("top", *QUICK)
    eventually(lambda: "q quit" in screen.text)
    screen.process.terminate()
    screen.wait()
    assert echoed(screen)
    assert screen.raw.rstrip().endswith(b"\x1b[?25h") or b"\x1b[?1049l" in screen.raw[-40:]


def test_without_metrics_it_shows_what_the_api_tells_and_how_to_have_the_rest(
    sgw: Sgw, new_session: Callable[[], str], terminal: Terminal
) -> None:
    session_id = new_session()
    found = sgw("top", *QUICK).json
    assert "--metrics-address" in found["notes"][0]
    assert found["gateway"]["calls"] is None
    assert "kv" in {row["name"] for row in found["apps"] if row["sessions"]}
    assert session_id in {row["session_id"] for row in found["sessions"]}
    screen = terminal("top", *QUICK)
    eventually(lambda: session_id in screen.text and "--metrics-address" in screen.text)


def test_a_metrics_port_that_is_named_and_does_not_answer_is_an_error(sgw: Sgw, environment: None) -> None:
    result = sgw("top", "--metrics", f"http://{NOBODY_THERE}/metrics")
    assert result.code == 5
    assert "no metrics from" in result.err
    assert "The gateway answers" in result.err
    assert "TLS" not in result.err


def test_where_neither_answers_it_is_the_gateway_that_cannot_be_reached(sgw: Sgw) -> None:
    result = sgw("top", "--metrics", f"http://{NOBODY_THERE}/metrics", "--address", NOBODY_THERE)
    assert result.code == 5
    assert "The gateway answers" not in result.err
    assert f"othing listens at {NOBODY_THERE}" in result.err


def test_a_metrics_port_is_named_by_its_number_as_for_the_gateway(
    sgw: Sgw, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SGW_METRICS_ADDRESS")
    port = counted.metrics.removesuffix("/metrics").rpartition(":")[2]
    for named in (f":{port}", f"127.0.0.1:{port}", counted.metrics):
        assert sgw("top", *QUICK, "--metrics", named).json["gateway"]["processes"] == 2


def test_what_names_no_metrics_port_is_a_wrong_command_line(sgw: Sgw, environment: None) -> None:
    result = sgw("top", "--metrics", "9464")
    assert result.code == 2
    assert "HOST:PORT, :PORT or a URL" in result.err


def test_a_gateway_that_is_not_there_is_an_error(sgw: Sgw) -> None:
    assert sgw("top", "--address", NOBODY_THERE).code == 5


def test_on_a_terminal_once_is_one_picture_below_the_prompt(counted: Counted, terminal: Terminal) -> None:
    screen = terminal("top", "--once", *QUICK)
    assert screen.wait() == 0
    assert "Session Gateway 0.1.0" in screen.text
    assert "q quit" not in screen.text
    assert b"\x1b[?1049h" not in screen.raw


async def test_a_gateway_that_is_killed_is_told_and_its_successor_is_shown(
    environment: None, tmp_path: Path, terminal: Terminal
) -> None:
    flags = ("--metrics-address", "127.0.0.1:0")
    with GatewayProcess(tmp_path / "data", APPS, flags, drain="keep") as first:
        screen = terminal("top", *QUICK, SGW_ADDRESS=first.address, SGW_DATA_DIR=str(first.data_dir))
        await until(lambda: "q quit" in screen.text, 20)
        first.kill()
        await until(lambda: "the gateway is lost" in screen.text, 20)
        with GatewayProcess(tmp_path / "data", APPS, ("--listen", first.address)):
            await until(lambda: "the gateway is lost" not in screen.text, 20)
            screen.press("q")
            assert screen.wait() == 0
