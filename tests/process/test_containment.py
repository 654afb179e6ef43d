"""What an app can and cannot do to others: each line of the table in docs/security.md, tried by a hostile app."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.process import GatewayProcess
from gateway.testing.waiting import until
from gateway.worker.process import WorkerDirectory
from gateway.workers.runtime import runtime_directory
from sessiongateway import Inference, SessionEndedError
from tests.process.observe import DEADLINE, descendants, started_as, worker_pid
from tests.process.ordinary import USER, lacking, launcher
from tests.process.promises import COLUMNS, PROMISES, Column
from tests.scenarios.limited import limited

HOSTILE = Path(__file__).parent.parent / "apps" / "hostile"
SECRET = ("sgw_the-first-half", "and-the-second-half")
ENVIRONMENT = {"SGW_API_KEY": "".join(SECRET), "SGW_SERVER_AUTH": "open", "SGW_PROCESSES": "2"}
PROCESSES = 20

_DEPENDS_ON_YAMA = {"other_memory", "other_trace", "gateway_trace"}


@dataclass
class Scene:
    """A gateway with two sessions of one app: one has a secret, the other one wants it."""

    column: Column
    gateway: GatewayProcess
    client: Inference
    everybodys: Path
    setuid: Path
    port: int
    victim: Any
    attacker: str

    @property
    def data_dir(self) -> Path:
        return self.gateway.data_dir

    def attempt(self, name: str, **input: Any) -> dict[str, Any]:
        """Have the attacker try something."""
        return self.call("attempt", {"name": name, **input})

    def call(self, function: str, input: Mapping[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """Call the attacker's session, or another one."""
        request = {"app": "hostile", "function": function, "input": input or {}}
        return dict(self.client.run({**request, "session": session or self.attacker}).output)


@pytest.fixture(
    scope="module", params=COLUMNS, ids=lambda column: f"{column.profile}-{'root' if column.root else 'user'}"
)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    column: Column = request.param
    if problem := lacking(column):
        pytest.skip(problem)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sgw")))
        home.chmod(0o755)
        everybodys = home / "everybodys"
        everybodys.write_text("read this")
        data_dir = home / "data"
        app = limited(HOSTILE, home / "hostile", processes=PROCESSES)
        targets = [("read", {"path": str(data_dir / "keys.json")}), ("root", {}), ("user", {"user": USER + 1})]
        (app / "targets.json").write_text(json.dumps(targets))
        data_dir.mkdir(mode=0o700)
        as_another = launcher() if os.getuid() == 0 and not column.root else ()
        if as_another:
            for path in (data_dir, app, *app.iterdir()):
                os.chown(path, USER, USER)
        command = [*as_another, sys.executable, "-m", "gateway.cli", "key", "create", "somebody", "--data-dir"]
        subprocess.run([*command, str(data_dir)], check=True, capture_output=True, cwd="/")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        environment = {**ENVIRONMENT, "SGW_WORKERS_ISOLATION": column.profile}
        gateway = stack.enter_context(
            GatewayProcess(data_dir, {"hostile": app}, environment=environment, launcher=as_another)
        )
        client = stack.enter_context(Inference(address=gateway.address, api_key="test"))
        opened = [client.run({"app": "hostile", "session": "new", "session_timeout": 3600}) for _ in range(2)]
        found = Scene(
            column,
            gateway,
            client,
            everybodys,
            _setuid_program(home),
            listener.getsockname()[1],
            opened[0],
            opened[1].session_id,
        )
        yield found
        for each in opened:
            client.sessions.end(each.session_id)


def _setuid_program(home: Path) -> Path:
    """Return a program that says whose rights it has: root's, for an ordinary user who may gain any."""
    program = home / "id"
    shutil.copy(shutil.which("id") or "/usr/bin/id", program)
    program.chmod(0o4755)
    if os.getuid() == 0 and program.stat().st_mode & stat.S_ISUID:
        command = ["setpriv", "--reuid", str(USER), "--clear-groups", str(program), "-u"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == b"0\n"
    return program


def went(scene: Scene, name: str) -> dict[str, Any]:
    """Try what a line of the table says, and return how it went."""
    data, run = scene.data_dir, runtime_directory(scene.data_dir)
    worker_id = scene.victim.session.worker_id
    # In a sandbox the worker itself is below the process that the gateway knows.
    worker = worker_pid(data, worker_id)
    others = [worker, *descendants(worker)]
    gateways = [scene.gateway.pid, *_gateways(scene)]
    attempts: dict[str, tuple[str, dict[str, Any]]] = {
        "other_files": ("read", {"path": f"{scene.victim.output['work']}/secret"}),
        "other_signal": ("signal", {"pids": others}),
        "other_memory": ("memory", {"pids": others}),
        "other_trace": ("trace", {"pids": others}),
        "other_socket": ("connect", {"path": str(WorkerDirectory(run / worker_id).socket)}),
        "store": ("read", {"path": str(data / "sessions.db")}),
        "keys": ("read", {"path": str(data / "keys.json")}),
        "keys_written": ("write", {"path": str(data / "planted")}),
        "code": ("write", {"path": str(data.parent / "hostile" / "planted.py")}),
        "gateway_signal": ("signal", {"pids": gateways}),
        "gateway_memory": ("memory", {"pids": gateways}),
        "gateway_trace": ("trace", {"pids": gateways}),
        "gateway_socket": ("connect", {"path": str(run / "peer.0")}),
        "gateway_secrets": ("secrets", dict(zip(("start", "end"), SECRET, strict=True))),
        "descriptors": ("descriptors", {}),
        "setuid": ("setuid", {"program": str(scene.setuid)}),
        "root": ("root", {}),
        "machine_files": ("read", {"path": str(scene.everybodys)}),
        "processes": ("processes", {"pids": gateways}),
        "network": ("network", {"host": "127.0.0.1", "port": scene.port}),
    }
    kind, input = attempts[name]
    how = scene.attempt(kind, **input)
    if kind == "write":
        how["done"] = Path(input["path"]).exists()
        Path(input["path"]).unlink(missing_ok=True)
    return how


def _gateways(scene: Scene) -> Iterator[int]:
    for pid in descendants(scene.gateway.pid):
        if b"gateway.cli" in Path(f"/proc/{pid}/cmdline").read_bytes():
            yield pid


AT_IMPORT = ("keys_at_import", "root_at_import", "user_at_import")
AFTERWARDS = ("stay", "bomb")


def held(scene: Scene, name: str, went: dict[str, Any]) -> None:
    """Fail unless it went as the table says."""
    _, kept = PROMISES[name]
    promised = kept[COLUMNS.index(scene.column)]
    yama = Path("/proc/sys/kernel/yama/ptrace_scope")
    if not promised and name in _DEPENDS_ON_YAMA and yama.exists() and yama.read_text().strip() != "0":
        return  # the machine refuses what the profile does not
    assert went["done"] is not promised, went["how"]


@pytest.mark.parametrize("name", [name for name in PROMISES if name not in (*AT_IMPORT, *AFTERWARDS)])
def test_what_a_profile_promises_to_refuse_is_refused_and_nothing_else(scene: Scene, name: str) -> None:
    held(scene, name, went(scene, name))


def test_an_import_can_do_no_more_than_a_worker(scene: Scene) -> None:
    attempts = scene.call("import_attempts")["attempts"]
    for name, how in zip(AT_IMPORT, attempts, strict=True):
        held(scene, name, how)


async def test_a_process_that_hides_goes_with_its_session(scene: Scene) -> None:
    called = f"hidden-{uuid.uuid4().hex}"
    opened = scene.client.run({"app": "hostile", "session": "new"})
    assert opened.session is not None
    directory = runtime_directory(scene.data_dir) / opened.session.worker_id
    scene.call("stay", {"called": called}, opened.session_id)
    await until(lambda: started_as(called), DEADLINE)
    scene.client.sessions.end(opened.session_id)
    await until(lambda: not directory.exists(), DEADLINE)
    left = started_as(called)
    try:
        held(scene, "stay", {"done": bool(left), "how": str(left)})
    finally:
        for pid in left:
            os.kill(pid, 9)


async def test_a_fork_bomb_is_the_end_of_its_session(scene: Scene) -> None:
    opened = scene.client.run({"app": "hostile", "session": "new"})
    with pytest.raises(SessionEndedError) as ended:
        scene.call("bomb", session=opened.session_id)
    held(scene, "bomb", {"done": ended.value.end_reason != "process_limit", "how": str(ended.value)})
