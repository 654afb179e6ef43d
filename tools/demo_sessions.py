"""The steps of the demonstration about the life of a session."""

import json

import sessiongateway
from tools.stage import Stage


def what_is_served(stage: Stage) -> None:
    """List the apps."""
    stage.heading("What is served", "An app is a directory with a class; its public methods can be called.")
    stage.expect_words(stage.sgw("app", "list"), "interpreter", "kv", "sql")


def plain_call(stage: Stage) -> None:
    """Call without a session."""
    stage.heading(
        "A plain call",
        "Without a session a call lands on any worker of the app. Into a pipe, or with --json, the answer is one"
        " document; session_id is empty.",
    )
    answer = json.loads(stage.piped("sgw", "app", "run", "kv", "--function", "keys", "--input", "{}"))
    stage.expect(answer["session_id"] == "", "no session")
    stage.expect("keys" in answer["output"], "the keys")


def session(stage: Stage) -> None:
    """Keep state over calls, for one session only."""
    stage.heading("A session", "`--session new` leases a worker process: from now on it is this caller's alone.")
    text = stage.sgw("app", "run", "kv", "--session", "new", "--session-timeout", "300", "--input", '{"key": "value"}')
    session_id = stage.session_in(text)
    print("\nThe next call names the session, and the state of the first is still there:")
    text = stage.sgw("app", "run", "kv", "--session", session_id, "--input", '{"key2": "value2"}')
    stage.expect_words(text, '"calls": 2', '"key": "value"', '"key2": "value2"', "2 calls")
    print("\nAnother session sees nothing of it:")
    other = stage.sgw("app", "run", "kv", "--session", "new", "--function", "keys")
    stage.expect_words(other, '"total": 0')
    stage.expect(stage.session_in(other) != session_id, "another session")
    stage.sgw("session", "end", session_id, stage.session_in(other))


def looking_and_renewing(stage: Stage) -> None:
    """Get, list, keepalive."""
    session_id = _new_session(stage)
    stage.heading("Looking at sessions, and keeping one alive", "Looking does not extend a session's life.")
    stage.expect_words(stage.sgw("session", "get", session_id), "active", "60 s without a call")
    stage.expect_words(stage.sgw("session", "list", "--status", "active"), session_id)
    print("\nKeepalive does: the timeout begins anew, without a call.")
    with sessiongateway.Inference(address=stage.address) as client:
        before = client.sessions.get(session_id)
        stage.sgw("session", "keepalive", session_id)
        after = client.sessions.get(session_id)
    stage.expect(str(after.expires_at) > str(before.expires_at), "a later end")
    stage.expect(after.call_count == before.call_count, "no further call")


def sliding_window(stage: Stage) -> None:
    """Show that each call moves the end."""
    stage.heading("The sliding window", "Each call moves the end of a session to now plus its own timeout.")
    with sessiongateway.Inference(address=stage.address) as client:
        text = stage.python(
            """
            session_id = client.run({"app": "kv", "session": "new", "session_timeout": 300})["session_id"]
            for call in range(3):
                info = client.run({"app": "kv", "session": session_id}).session
                print(f"call at {info.last_call_at:%H:%M:%S.%f}, expires at {info.expires_at:%H:%M:%S.%f}")
            print(client.sessions.get(session_id).expires_at == info.expires_at)
            """,
            {"client": client},
        )
    *calls, looking = text.splitlines()
    stage.expect(len(set(calls)) == len(calls) and calls == sorted(calls), "a later end after each call")
    stage.expect(looking == "True", "an end that is not moved by looking")


def python_sdk(stage: Stage) -> None:
    """Use the context manager."""
    stage.heading("The same in Python", "A session that opens with its first call and ends with its block.")
    with sessiongateway.Inference(address=stage.address) as client:
        text = stage.python(
            """
            with client.session("kv", session_timeout=60) as session:
                session.call("set_value", {"key": "answer", "value": 2**53 + 1})
                result = session.call("get_value", {"key": "answer"})
                print(result.output, result.session.call_count, "calls")
            print(client.sessions.get(session.id).status)
            """,
            {"client": client},
        )
    stage.expect_words(text, "{'value': 9007199254740993, 'found': True} 2 calls", "ended")


def expiry(stage: Stage) -> None:
    """Let a session expire, and be told."""
    stage.heading(
        "A session that nobody calls",
        "It expires after its timeout, never before. Whoever renews sessions on a stream is told at once; here with"
        " the generated stubs, which is what every other language has.",
    )
    text = stage.sgw("app", "run", "kv", "--session", "new", "--session-timeout", "1")
    session_id = stage.session_in(text)
    told = stage.python(
        f"""
        import grpc, queue
        from sessiongateway.v1 import sessions_pb2 as pb, sessions_pb2_grpc

        with grpc.insecure_channel("{stage.address}") as channel:
            gateway = sessions_pb2_grpc.SessionServiceStub(channel)
            requests = queue.SimpleQueue()
            requests.put(pb.StreamKeepaliveRequest(session_ids=["{session_id}"]))
            for news in gateway.StreamKeepalive(iter(requests.get, None), timeout=10):
                print(news.WhichOneof("outcome"), news.error.message)
                if news.HasField("error"):
                    requests.put(None)  # the end of our side of the stream
        """,
        {},
    )
    stage.expect_words(told, "session", "error")
    text = stage.sgw("app", "run", "kv", "--session", session_id, exit_code=3)
    stage.expect_words(text, "SESSION_EXPIRED", "Nothing was applied")


def _new_session(stage: Stage) -> str:
    with sessiongateway.Inference(address=stage.address) as client:
        return str(client.run(app="kv", session="new").session_id)
