"""The steps of the demonstration about errors: each says what happened, whether the call ran, and what to do."""

import sessiongateway
from tools.stage import Stage


def wrong_input(stage: Stage) -> None:
    """Send what the function does not take."""
    stage.heading("An input that does not fit", "Checked before the function runs; every wrong field is named.")
    text = stage.sgw("app", "run", "kv", "--function", "set_value", "--input", '{"kye": "a"}', exit_code=2)
    stage.expect_words(text, "INVALID_INPUT", "input.key: ", "input.value: ", "input.kye: ", "Nothing was applied")


def app_error(stage: Stage) -> None:
    """Let the app's code raise."""
    stage.heading("An exception in the app", "It comes back with its type, text and traceback; the session goes on.")
    with sessiongateway.Inference(address=stage.address) as client:
        session_id = client.run(app="interpreter", session="new", input={"code": "x = 1"}).session_id
        read = ("app", "run", "interpreter", "--session", session_id, "--function", "read_file")
        text = stage.sgw(*read, "--input", '{"path": "missing.txt"}', exit_code=4)
        stage.expect_words(text, "APP_ERROR", "FileNotFoundError", "It ran")
        stage.expect(client.sessions.end(session_id).end_reason == "caller", "a session that went on")


def wrong_app(stage: Stage) -> None:
    """Call a session by another app's name."""
    stage.heading("A session of another app", "A session stays with the app and the version that it was started with.")
    with sessiongateway.Inference(address=stage.address) as client:
        session_id = client.run(app="kv", session="new").session_id
        text = stage.python(
            f"""
            try:
                client.run({{"app": "sql", "session": "{session_id}"}})
            except sessiongateway.AppMismatchError as error:
                print(error.code, error.run_state)
                print(error.message)
            """,
            {"client": client, "sessiongateway": sessiongateway},
        )
    stage.expect_words(text, "APP_MISMATCH not_started", session_id)


def call_after_the_end(stage: Stage) -> None:
    """End a session and call it again."""
    with sessiongateway.Inference(address=stage.address) as client:
        session_id = client.run(app="kv", session="new", input={"key": "value"}).session_id
    stage.heading(
        "The end", "Ending a session releases its worker at once. Ended, expired and unknown are three answers."
    )
    stage.expect_words(stage.sgw("session", "end", session_id), "ended", "caller")
    text = stage.sgw("app", "run", "kv", "--session", session_id, exit_code=3)
    stage.expect_words(text, "SESSION_ENDED", "--session new")
    text = stage.sgw("session", "get", "sess_" + "a" * 26, exit_code=3)
    stage.expect_words(text, "SESSION_NOT_FOUND")
