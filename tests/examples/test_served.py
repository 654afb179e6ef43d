"""The examples behind a real gateway, called as their users call them."""

import importlib.util
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway import AsyncInference, DeadlineExceededError, Inference, InvalidInputError, SessionEndedError
from tests.examples.conftest import EXAMPLES
from tests.examples.test_all import NAMES, needs, readme_commands

ENDLESS_SQL = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
ENDLESS_ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    names = [name for name in NAMES if name != "classifier" or importlib.util.find_spec("sklearn")]
    with GatewayProcess(tmp_path_factory.mktemp("data"), {name: EXAMPLES / name for name in names}) as running:
        yield running


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[Inference]:
    with Inference(address=gateway.address) as connected:
        yield connected


def sgw(gateway: GatewayProcess, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env={**os.environ, "SGW_ADDRESS": gateway.address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_the_readme_can_be_pasted(gateway: GatewayProcess, name: str) -> None:
    needs(name)
    session = "new"
    for function, input in readme_commands(name):
        chosen = ["--function", function] if function else []
        given = ["--input", json.dumps(input)]
        answer = sgw(gateway, "app", "run", name, "--session", session, *chosen, *given)
        assert session in {"new", answer["session_id"]}
        session = answer["session_id"]
    assert answer["session"]["call_count"] == len(readme_commands(name))
    sgw(gateway, "session", "end", session)


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_listed_with_their_schemas(client: Inference, name: str) -> None:
    needs(name)
    app = client.apps.get(name)
    assert app.default_function in {function.name for function in app.functions}
    assert all(function.description and function.output_schema["properties"] for function in app.functions)


def test_what_kv_has_stored_is_seen_in_its_session_only(client: Inference) -> None:
    with client.session("kv") as first, client.session("kv") as second:
        first.call("set_value", {"key": "k", "value": 2**53 + 1})
        assert first.call("get_value", {"key": "k"}).output == {"value": 2**53 + 1, "found": True}
        assert second.call("get_value", {"key": "k"}).output["found"] is False


def test_a_tables_rows_outlive_a_query_that_its_caller_gave_up(client: Inference, gateway: GatewayProcess) -> None:
    with client.session("sql") as session:
        session.call("load", {"name": "t", "csv": "a\n1\n2\n"})
        with pytest.raises(DeadlineExceededError):
            session.call("query", {"sql": ENDLESS_SQL, "timeout_seconds": 300}, timeout=0.3)
        assert session.call("query", {"sql": "SELECT sum(a) FROM t"}).output["rows"] == [[3]]
    assert "never retrieved" not in gateway.log


def test_all_rows_of_a_query_are_streamed_and_their_number_is_the_result(client: Inference) -> None:
    with client.session("sql") as session:
        session.call("load", {"name": "cities", "path": "cities.csv"})
        stream = session.stream("rows", {"sql": "SELECT city FROM cities", "batch_rows": 5}, expected_call_count=1)
        assert [len(batch["rows"]) for batch in stream] == [5, 3]
        assert stream.result.output == {"ok": True, "error": None, "row_count": 8}
        assert session.call("rows", {"sql": "SELECT city FROM cities"}).output == stream.result.output


def test_a_stream_that_its_reader_leaves_stops_its_query_and_the_tables_stay(client: Inference) -> None:
    with client.session("sql") as session:
        session.call("load", {"name": "t", "csv": "a\n1\n2\n"})
        with session.stream("rows", {"sql": ENDLESS_ROWS, "batch_rows": 1000}) as stream:
            assert next(stream)["rows"][-1] == [1000]
        assert session.call("query", {"sql": "SELECT sum(a) FROM t"}).output["rows"] == [[3]]


async def test_a_session_that_a_stream_has_opened_ends_under_another_stream_with_a_reason(
    gateway: GatewayProcess,
) -> None:
    async with AsyncInference(address=gateway.address) as client, client.session("sql") as session:
        opened = await session.stream("load", {"name": "t", "csv": "a\n1\n"}).finish()
        assert (session.id, opened.output["row_count"]) == (opened.session_id, 1)
        stream = session.stream("rows", {"sql": ENDLESS_ROWS, "batch_rows": 1000})
        assert (await anext(stream))["columns"] == ["i"]
        await session.end()
        with pytest.raises(SessionEndedError) as caught:
            await stream.finish()
        assert (caught.value.end_reason, caught.value.run_state) == ("caller", "unknown")


def test_a_repeat_of_a_stream_gets_the_result_without_the_outputs(client: Inference) -> None:
    once = {"app": "sql", "function": "rows", "input": {"sql": "SELECT 1"}, "request_id": str(uuid.uuid4())}
    first = client.run_stream(once)
    assert len(list(first)) == 1
    again = client.run_stream(once)
    assert list(again) == []
    assert again.result == first.result == client.run(once)


def test_variables_outlive_code_that_its_caller_gave_up(client: Inference) -> None:
    with client.session("interpreter") as session:
        session.call("run", {"code": "kept = 1"})
        with pytest.raises(DeadlineExceededError):
            session.call("run", {"code": "while True:\n    pass"}, timeout=0.3)
        assert session.call("run", {"code": "kept"}).output["result_json"] == 1


def test_nothing_that_code_prints_or_raises_reaches_the_gateway(client: Inference, gateway: GatewayProcess) -> None:
    code = "import os\nprint('mark' + 'ed')\nos.system('echo mark''ed')\nraise SystemExit('mark' + 'ed')"
    with client.session("interpreter") as session:
        output = session.call("run", {"code": code}).output
        session.call("run", {"code": ""})
    assert output["stdout"].count("marked") == 2
    assert output["error"]["type"] == "SystemExit"
    assert "marked" not in gateway.log


def test_a_figure_can_be_fetched_in_the_next_call(client: Inference) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib (dependency group `examples`) is not installed")
    with client.session("interpreter") as session:
        drawn = session.call("run", {"code": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"}).output
        listed = session.call("list_files", {}).output
        picture = session.call("read_file", {"path": "figure-1.png"}).output
    assert (drawn["stderr"], drawn["error"]) == ("", None)
    assert drawn["files"] == listed["files"] == [{"path": "figure-1.png", "size": picture["size"]}]
    assert picture["base64"].startswith("iVBORw0KGgo")


def test_a_wrong_number_of_features_is_an_invalid_input(client: Inference) -> None:
    needs("classifier")
    with pytest.raises(InvalidInputError) as refused:
        client.run({"app": "classifier", "input": {"features": [5.1, 3.5, 1.4]}})
    assert [field for field, _ in refused.value.field_violations] == ["input.features"]


def test_what_one_session_teaches_the_classifier_another_does_not_see(client: Inference) -> None:
    needs("classifier")
    example = {"features": [20, 20, 20, 20], "label": "sunflower"}
    with client.session("classifier") as pupil, client.session("classifier") as other:
        assert pupil.call("learn", {"examples": [example]}).output["new_classes"] == ["sunflower"]
        assert "sunflower" in pupil.call("info", {}).output["classes"]
        assert "sunflower" not in other.call("info", {}).output["classes"]
