"""The steps of the demonstration with several gateways. A session of the first step lives until the last one."""

import time
import uuid
from collections.abc import Callable

import sessiongateway
from tools.fleet.group import Group
from tools.stage import Stage

_FIRST, _SECOND, _THIRD = range(3)
_ROUNDS = 6
_MINUTE = 60.0
"""Seconds after which somebody must have taken over what a gateway had that was killed."""


def one_session(group: Group, stage: Stage) -> None:
    """Open a session through one gateway, and use it through the others."""
    stage.heading("One session, three gateways", "Opened through the first, it is known to all, and its state is one.")
    stage.at(group.addresses[_FIRST])
    text = stage.sgw("app", "run", "kv", "--session", "new", "--session-timeout", "300", "--input", '{"key": "value"}')
    stage.kept["session"] = session_id = stage.session_in(text)
    stage.at(group.addresses[_SECOND])
    text = stage.sgw("app", "run", "kv", "--session", session_id, "--input", '{"key2": "value2"}')
    stage.expect_words(text, '"calls": 2', '"key": "value"', '"key2": "value2"')
    stage.at(group.addresses[_THIRD])
    stage.expect_words(stage.sgw("session", "get", session_id), "status active", "calls 2")


def going_round(group: Group, stage: Stage) -> None:
    """Let one client go round."""
    stage.heading(
        "A client that goes round",
        "Given several addresses, or a name that has them, a client sends each call to the next gateway. The calls of"
        " the session still run one after another, and each is counted once.",
    )
    told = stage.python(
        f"""
        with sessiongateway.Inference(address="{group.address}") as client:
            for number in range({_ROUNDS}):
                call = {{"app": "kv", "session": "{stage.kept["session"]}", "input": {{f"n{{number}}": number}}}}
                print(client.run(call).output["calls"])
        """,
        {"sessiongateway": sessiongateway},
    )
    stage.expect(told.split() == [str(number) for number in range(3, 3 + _ROUNDS)], "the numbers of the calls")


def a_death(group: Group, stage: Stage) -> None:
    """Kill the gateway that has the session, and go on."""
    stage.heading(
        "A gateway is killed",
        f"The first one, through which the session was opened, by SIGKILL. {group.told_of_death} A call that was cut"
        " off or refused meanwhile is sent again with its request_id, for a minute at most, so it runs once.",
    )
    group.kill()
    told = stage.python(
        f"""
        call = {{"app": "kv", "session": "{stage.kept["session"]}", "input": {{"after": "death"}}}}
        call["request_id"] = "{uuid.uuid4()}"
        answer = None
        with sessiongateway.Inference(address="{group.address}") as client:
            while answer is None:
                try:
                    answer = client.run(call, timeout=60)
                except sessiongateway.SessionGatewayError as error:
                    if error.code not in ("UNAVAILABLE", "GATEWAY_DRAINING", "CALL_INTERRUPTED") or a_minute_is_over():
                        raise
        print(answer.output["calls"], "calls, nothing lost:", sorted(answer.output["state"]))
        """,
        {"sessiongateway": sessiongateway, "a_minute_is_over": _over(_MINUTE)},
    )
    stage.expect_words(told, f"{3 + _ROUNDS} calls", "'after'", "'key'", "'key2'", f"'n{_ROUNDS - 1}'")


def _over(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def expiry(group: Group, stage: Stage) -> None:
    """Let a session expire, and be told by each gateway."""
    stage.heading(
        "A session that nobody calls",
        "It expires once, by one of them, and the others say so too: when, why, and that nothing was applied.",
    )
    told = stage.python(
        f"""
        with (
            sessiongateway.Inference(address="{group.addresses[_SECOND]}") as second,
            sessiongateway.Inference(address="{group.addresses[_THIRD]}") as third,
            third.sessions.watch() as watch,
        ):
            session_id = second.run(app="kv", session="new", session_timeout=1).session_id
            for event in watch:
                print(event.event, event.session.id)
                if event.session.id == session_id and event.event != "created":
                    break
        """,
        {"sessiongateway": sessiongateway},
    )
    session_id = stage.session_in(told)
    stage.expect_words(told, f"created {session_id} expired {session_id}")
    for address in group.addresses[_SECOND:]:
        stage.at(address)
        text = stage.sgw("app", "run", "kv", "--session", session_id, exit_code=3)
        stage.expect_words(text, "SESSION_EXPIRED", "Nothing was applied")


def the_return(group: Group, stage: Stage) -> None:
    """Have the gateway that was killed back, and end the session."""
    stage.heading("It is back", "The gateway that was killed serves again, and knows what the others know.")
    group.revive()
    session_id = stage.kept["session"]
    stage.at(group.addresses[_FIRST])
    text = stage.sgw("app", "run", "kv", "--session", session_id, "--input", '{"key": "again"}')
    stage.expect_words(text, f'"calls": {4 + _ROUNDS}', '"after": "death"')
    stage.at(group.addresses[_THIRD])
    stage.expect_words(stage.sgw("session", "end", session_id), "ended", "caller")
    stage.at(group.addresses[_FIRST])
    stage.expect_words(stage.sgw("app", "run", "kv", "--session", session_id, exit_code=3), "SESSION_ENDED")
