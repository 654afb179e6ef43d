"""The steps of the demonstration with apps that people would run, and with clients that know nothing of the gateway."""

import json
import shutil

from tools.example_apps import example_apps
from tools.stage import Stage

_RUN = "sessiongateway.v1.SessionService/Run"


def interpreter(stage: Stage) -> None:
    """Run code whose variables and files stay."""
    stage.heading("A code interpreter", "Variables, imports and files of one call are there in the next.")
    code = 'import statistics\nsamples = [2, 3, 5, 7, 11]\nprint("ready")'
    text = stage.sgw("app", "run", "interpreter", "--session", "new", "--input", json.dumps({"code": code}))
    stage.expect_words(text, '"stdout": "ready\\n"')
    session_id = stage.session_in(text)
    code = 'open("mean.txt", "w").write(str(statistics.mean(samples)))\nstatistics.mean(samples)'
    run = ("app", "run", "interpreter", "--session", session_id)
    text = stage.sgw(*run, "--input", json.dumps({"code": code}))
    stage.expect_words(text, '"result": "5.6"', '"path": "mean.txt"')


def sql(stage: Stage) -> None:
    """Load a table once and ask about it."""
    stage.heading("SQL over CSV", "Loaded once into a database in memory, asked as often as you like; rows stream.")
    load = json.dumps({"name": "cities", "path": "cities.csv"})
    text = stage.sgw("app", "run", "sql", "--session", "new", "--function", "load", "--input", load)
    session_id = stage.session_in(text)
    query = json.dumps({"sql": "SELECT city, population FROM cities ORDER BY population DESC LIMIT 2"})
    text = stage.sgw("app", "run", "sql", "--session", session_id, "--input", query)
    stage.expect_words(text, '"ok": true', '"Delhi", 16788000')
    batches = json.dumps({"sql": "SELECT city FROM cities ORDER BY city", "batch_rows": 3})
    rows = ("app", "run", "sql", "--session", session_id, "--function", "rows", "--input", batches, "--stream")
    stage.expect_words(stage.sgw(*rows), '"rows": [["Berlin"], ["Cairo"], ["Delhi"]]', '"row_count": 8')


def classifier(stage: Stage) -> None:
    """Teach one session's model, where scikit-learn is installed."""
    if "classifier" not in example_apps():
        return
    stage.heading("A model", "Trained before its caller comes; what a session teaches it, only that session sees.")
    text = stage.sgw("app", "run", "classifier", "--session", "new", "--input", '{"features": [5.1, 3.5, 1.4, 0.2]}')
    stage.expect_words(text, '"label": "setosa"')
    session_id = stage.session_in(text)
    lesson = json.dumps({"examples": [{"features": [20, 20, 20, 20], "label": "sunflower"}]})
    learn = ("app", "run", "classifier", "--session", session_id, "--function", "learn", "--input", lesson)
    stage.expect_words(stage.sgw(*learn), '"learned": 1', '"sunflower"')


def any_grpc_client(stage: Stage) -> None:
    """Call by reflection, without an SDK and without a proto file."""
    stage.heading("Any gRPC client", "The gateway describes itself: no SDK and no proto file is needed.")
    request = {"app": "kv", "session": "new", "input": {"key": "value"}}
    url = f"http://{stage.address}/{_RUN}"
    answer = json.loads(stage.piped("buf", "curl", "--protocol", "grpc", "-d", json.dumps(request), url))
    stage.expect(answer["output"]["state"] == {"key": "value"}, "the state")
    stage.expect(answer["session"]["status"] == "SESSION_STATUS_ACTIVE", "an active session")
    wrong = json.dumps({"app": "sql", "session": answer["sessionId"]})
    print("\nAn error carries, beside its text, details that a program can read:")
    # INVALID_ARGUMENT is gRPC's number 3, which buf curl multiplies by 8.
    error = json.loads(stage.piped("buf", "curl", "--protocol", "grpc", "-d", wrong, url, exit_code=24))
    told = stage.python(
        """
        import base64
        from sessiongateway.v1 import errors_pb2

        for detail in error["details"]:
            if detail["type"] == "sessiongateway.v1.ErrorDetail":
                print(errors_pb2.ErrorDetail.FromString(base64.b64decode(detail["value"] + "==")))
        """,
        {"error": error},
    )
    stage.expect_words(told, "code: ERROR_CODE_APP_MISMATCH", "run_state: RUN_STATE_NOT_STARTED")
    _grpcurl(stage, json.dumps(request), wrong)


def _grpcurl(stage: Stage, request: str, wrong: str) -> None:
    if shutil.which("grpcurl") is None:
        return
    print("\ngrpcurl is installed here too:")
    answer = json.loads(stage.piped("grpcurl", "-plaintext", "-d", request, stage.address, _RUN))
    stage.expect("sessionId" in answer, "a session")
    # INVALID_ARGUMENT once more: grpcurl adds 64.
    text = stage.piped("grpcurl", "-plaintext", "-d", wrong, stage.address, _RUN, exit_code=67)
    stage.expect_words(text, "ERROR_CODE_APP_MISMATCH", "RUN_STATE_NOT_STARTED")
