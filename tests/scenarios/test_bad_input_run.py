"""Requests that are wrong in their fields: each is refused with every field named, and nothing has happened."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.testing.process import GatewayProcess
from sessiongateway.v1 import sessions_pb2 as pb
from tests.scenarios.client import CallFailed
from tests.scenarios.failures import check, fields_of, refused
from tests.scenarios.witness import APPS, STEADY, witness

UNKNOWN = "sess_" + "a" * 26
IN_SESSION = "the session of the test"
LONG = "x" * 129


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    apps = {STEADY: APPS / "steady", "acme/other": APPS / "steady"}
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), apps, ["--min-idle", "0"]) as process:
        yield process


def request(app: str = STEADY, **fields: Any) -> pb.RunRequest:
    """Return a request whose placeholder for a session id is yet to be filled in."""
    return pb.RunRequest(app=app, **fields)


INVALID = [
    ("no app", request(app=""), ["app"]),
    ("an app with a space", request(app="no name"), ["app"]),
    ("an app with two namespaces", request(app="a/b/c"), ["app"]),
    ("an app with an empty version", request(app="steady@"), ["app"]),
    ("an app with two versions", request(app="steady@1@2"), ["app"]),
    ("an app that climbs directories", request(app="../steady"), ["app"]),
    ("a version that climbs directories", request(app="steady@.."), ["app"]),
    ("an app name that is too long", request(app="x" * 65), ["app"]),
    ("an app name with a line break", request(app="steady\n"), ["app"]),
    ("a session that is no id", request(session="abc"), ["session"]),
    ("NEW in capitals", request(session="NEW"), ["session"]),
    ("a session id that is too long", request(session="sess_" + LONG), ["session"]),
    ("a session id with SQL in it", request(session="' OR 1=1 --"), ["session"]),
    ("a timeout of -1", request(session="new", session_timeout=-1), ["session_timeout"]),
    ("a timeout of 0", request(session="new", session_timeout=0), ["session_timeout"]),
    ("a timeout of 3601", request(session="new", session_timeout=3601), ["session_timeout"]),
    ("a timeout of 2^31-1", request(session="new", session_timeout=2**31 - 1), ["session_timeout"]),
    ("a timeout of -2^31", request(session="new", session_timeout=-(2**31)), ["session_timeout"]),
    ("a timeout on a plain call", request(session_timeout=60), ["session_timeout"]),
    ("a timeout in a session", request(session=IN_SESSION, session_timeout=60), ["session_timeout"]),
    ("a wrong timeout in a session", request(session=IN_SESSION, session_timeout=0), ["session_timeout"] * 2),
    ("a worker on a plain call", request(worker_id="wrk_x"), ["worker_id"]),
    ("a worker id that is too long", request(session="new", worker_id=LONG), ["worker_id"]),
    ("a function name that is too long", request(function=LONG), ["function"]),
    ("a request id that is too long", request(request_id=LONG), ["request_id"]),
    ("a request id with a space", request(request_id="a b"), ["request_id"]),
    ("a request id that is not ASCII", request(request_id="é"), ["request_id"]),
    (
        "everything at once",
        request(app="no name", session="abc", session_timeout=0, function=LONG, worker_id=LONG, request_id=LONG),
        ["app", "session", "session_timeout", "session_timeout", "function", "worker_id", "request_id"],
    ),
]


@pytest.mark.parametrize(("wrong", "fields"), [pytest.param(*case[1:], id=case[0]) for case in INVALID])
async def test_a_wrong_field_is_named_and_nothing_is_changed(
    gateway: GatewayProcess, wrong: pb.RunRequest, fields: list[str]
) -> None:
    async with witness(gateway) as own:
        sent = pb.RunRequest()
        sent.CopyFrom(wrong)
        if sent.session == IN_SESSION:
            sent.session = own.session.id
        refusal = await refused(own.send(sent), "INVALID_REQUEST", "NOT_STARTED")
    assert fields_of(refusal) == fields
    assert refusal.info.metadata["fields"] == ", ".join(fields)
    assert all(description for _, description in refusal.bad_request)


NOT_THERE = [
    ("an unknown app", {"app": "nobody"}, "APP_NOT_FOUND", {"app": "nobody"}),
    ("an unknown app for a new session", {"app": "nobody", "session": "new"}, "APP_NOT_FOUND", {"app": "nobody"}),
    ("another namespace", {"app": "acme/steady"}, "APP_NOT_FOUND", {"app": "acme/steady"}),
    ("an unknown version", {"app": "steady@0"}, "VERSION_NOT_FOUND", {"app": "steady", "version": "0"}),
    ("an unknown session", {"session": UNKNOWN}, "SESSION_NOT_FOUND", {"sessionId": UNKNOWN}),
    ("an unknown function", {"function": "nothing"}, "FUNCTION_NOT_FOUND", {"function": "nothing"}),
    ("an unknown function for new", {"function": "no", "session": "new"}, "FUNCTION_NOT_FOUND", {"function": "no"}),
    ("an unknown function in a session", {"function": "no", "session": IN_SESSION}, "FUNCTION_NOT_FOUND", {}),
    ("a private method", {"function": "__init__"}, "FUNCTION_NOT_FOUND", {"function": "__init__"}),
    ("a method of the base class", {"function": "setup"}, "FUNCTION_NOT_FOUND", {"function": "setup"}),
    ("an attribute", {"function": "state", "session": IN_SESSION}, "FUNCTION_NOT_FOUND", {"function": "state"}),
    ("an unknown worker", {"worker_id": "wrk_x", "session": "new"}, "WORKER_NOT_FOUND", {"workerId": "wrk_x"}),
    ("an unknown worker in a session", {"worker_id": "wrk_x", "session": IN_SESSION}, "WORKER_NOT_FOUND", {}),
    ("another app in a session", {"app": "acme/other", "session": IN_SESSION}, "APP_MISMATCH", {}),
    ("no such app in a session", {"app": "nobody", "session": IN_SESSION}, "APP_MISMATCH", {"requestedApp": "nobody"}),
    ("another version in a session", {"app": "steady@2", "session": IN_SESSION}, "VERSION_MISMATCH", {}),
]


@pytest.mark.parametrize(("fields", "code", "metadata"), [pytest.param(*case[1:], id=case[0]) for case in NOT_THERE])
async def test_what_is_not_there_is_told_and_nothing_is_changed(
    gateway: GatewayProcess, fields: dict[str, str], code: str, metadata: dict[str, str]
) -> None:
    async with witness(gateway) as own:
        sent = {"app": STEADY, **fields}
        if sent.get("session") == IN_SESSION:
            sent["session"] = own.session.id
        refusal = await refused(own.send(pb.RunRequest(**sent)), code, "NOT_STARTED")  # type: ignore[arg-type]
    assert metadata.items() <= dict(refusal.info.metadata).items()
    assert refusal.detail.call_id.startswith("call_")


async def test_a_mismatch_tells_both_sides_in_the_typed_detail(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        other_app = await refused(own.run("acme/other@9", session=own.session.id), "APP_MISMATCH", "NOT_STARTED")
        other_version = await refused(own.run("steady@9", session=own.session.id), "VERSION_MISMATCH", "NOT_STARTED")
    bound = (own.session.app, own.session.version)
    for refusal, requested in ((other_app, ("acme/other", "9")), (other_version, ("steady", "9"))):
        assert (refusal.detail.session_app.app, refusal.detail.session_app.version) == bound
        assert (refusal.detail.requested_app.app, refusal.detail.requested_app.version) == requested
        assert refusal.detail.session_id == own.session.id
    assert dict(other_app.info.metadata) | {"httpStatus": ""} == {
        "sessionId": own.session.id,
        "sessionApp": "steady",
        "requestedApp": "acme/other",
        "httpStatus": "",
    }
    assert other_version.info.metadata["sessionVersion"] == own.session.version
    assert other_version.info.metadata["requestedVersion"] == "9"


async def test_a_worker_held_by_another_session_is_leased(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own, witness(gateway) as other:
        for session in ("new", own.session.id):
            held = own.run(own.app, session=session, worker_id=other.session.worker_id)
            refusal = await refused(held, "WORKER_LEASED", "NOT_STARTED")
            assert refusal.info.metadata["workerId"] == other.session.worker_id
        held = own.run(own.app, session="new", worker_id=own.session.worker_id)
        await refused(held, "WORKER_LEASED", "NOT_STARTED")


async def test_naming_the_sessions_own_worker_is_fine(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        opened = await own.open(own.app)
        answer = await own.run(own.app, {}, session=opened.id, worker_id=opened.worker_id)
        assert answer.session.worker_id == opened.worker_id
        await own.client.end(opened.id)


async def test_a_request_id_with_another_content_is_refused_and_with_the_same_is_answered_again(
    gateway: GatewayProcess,
) -> None:
    async with witness(gateway) as own:
        opened = await own.open(own.app)
        first = await own.run(own.app, {"a": 1}, session=opened.id, request_id="once")
        again = await own.run(own.app, {"a": 1}, session=opened.id, request_id="once")
        assert (again.call_id, again.output_json) == (first.call_id, first.output_json)
        for other in ({"a": 2}, {}):
            reused = own.run(own.app, other, session=opened.id, request_id="once")
            refusal = await refused(reused, "REQUEST_ID_REUSED", "NOT_STARTED")
            assert refusal.info.metadata["requestId"] == "once"
        assert (await own.client.end(opened.id)).call_count == 2


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Basic YTpi", "key"], ids=["no key", "an empty key", "another scheme", "no scheme"]
)
async def test_credentials_that_cannot_be_read_are_unauthenticated(gateway: GatewayProcess, value: str) -> None:
    async with witness(gateway) as own:
        metadata, own.client.metadata = own.client.metadata, (("authorization", value),)
        refusal = await refused(own.run(own.app, session="new"), "UNAUTHENTICATED", "NOT_STARTED")
        await refused(own.client.get(own.session.id), "UNAUTHENTICATED")
        own.client.metadata = metadata
    assert set(refusal.info.metadata) == {"httpStatus"}


async def test_an_error_of_run_has_one_detail_of_each_kind(gateway: GatewayProcess) -> None:
    async with witness(gateway) as own:
        with pytest.raises(CallFailed) as caught:
            await own.run("no name")
    check(caught.value, "INVALID_REQUEST", "NOT_STARTED")
    kinds = [packed.TypeName() for packed in caught.value.details.details]
    assert kinds == ["google.rpc.ErrorInfo", "sessiongateway.v1.ErrorDetail", "google.rpc.BadRequest"]
