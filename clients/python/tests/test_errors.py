"""Every failure of a request is one exception, which says all that the gateway said."""

import copy
import pickle
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2

import sessiongateway
from sessiongateway import (
    AppError,
    AppStartFailedError,
    AsyncInference,
    Inference,
    InternalError,
    InvalidInputError,
    NoWorkerAvailableError,
    SessionEndedError,
    SessionExpiredError,
    SessionGatewayError,
    VersionMismatchError,
    WorkerLostError,
)
from sessiongateway._errors import from_detail
from sessiongateway._exceptions import BY_CODE
from sessiongateway.v1 import errors_pb2
from tests.sdk.scripted import ScriptedGateway

Detail = errors_pb2.ErrorDetail
CODES = {name.removeprefix("ERROR_CODE_"): number for name, number in errors_pb2.ErrorCode.items() if number}


def class_name(code: str) -> str:
    return "".join(word.capitalize() for word in code.removesuffix("_ERROR").split("_")) + "Error"


def raised(client: Inference, **fields: Any) -> SessionGatewayError:
    with pytest.raises(SessionGatewayError) as caught:
        client.run({"app": "kv"}, **fields)
    return caught.value


@pytest.mark.parametrize(("code", "number"), CODES.items())
def test_every_code_of_the_protocol_has_its_own_exported_class(code: str, number: Any) -> None:
    error = from_detail(Detail(code=number, message="so it is"))
    assert type(error) is getattr(sessiongateway, class_name(code))
    assert (error.code, error.message, str(error)) == (code, "so it is", f"{code}: so it is")


def test_classes_for_codes_that_the_protocol_does_not_have_are_those_of_the_transport() -> None:
    assert set(BY_CODE) - set(CODES) == {"UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED"}


def test_an_error_carries_everything_that_the_gateway_said(gateway: ScriptedGateway, client: Inference) -> None:
    detail = Detail(
        code=errors_pb2.ERROR_CODE_SESSION_ENDED,
        message="the session has ended",
        http_status=410,
        run_state=errors_pb2.RUN_STATE_NOT_STARTED,
        session_id="sess_a",
        end_reason=errors_pb2.END_REASON_WORKER_LOST,
        call_id="call_1",
        worker_exit=errors_pb2.WorkerExit(signal=9),
    )
    info = error_details_pb2.ErrorInfo(
        reason="SESSION_ENDED", domain="sessiongateway", metadata={"sessionId": "sess_a", "httpStatus": "410"}
    )
    gateway.fail("Run", grpc.StatusCode.FAILED_PRECONDITION, "the session has ended", info, detail)
    error = raised(client)
    assert isinstance(error, SessionEndedError)
    assert (error.code, error.message, error.http_status) == ("SESSION_ENDED", "the session has ended", 410)
    assert (error.session_id, error.call_id, error.run_state) == ("sess_a", "call_1", "not_started")
    assert (error.end_reason, error.worker_exit) == ("worker_lost", {"signal": 9})
    assert error.metadata == {"sessionId": "sess_a", "httpStatus": "410"}
    assert error.details == detail
    assert (error.retry_after, error.field_violations) == (None, [])


def test_wrong_fields_are_listed_with_what_is_wrong(gateway: ScriptedGateway, client: Inference) -> None:
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field="input.key", description="is missing"),
        error_details_pb2.BadRequest.FieldViolation(field="input.n", description="is not a number"),
    ]
    gateway.fail(
        "Run",
        grpc.StatusCode.INVALID_ARGUMENT,
        "no",
        Detail(code=errors_pb2.ERROR_CODE_INVALID_INPUT),
        error_details_pb2.BadRequest(field_violations=violations),
    )
    error = raised(client)
    assert isinstance(error, InvalidInputError)
    assert error.field_violations == [("input.key", "is missing"), ("input.n", "is not a number")]


def test_the_time_to_wait_is_in_seconds(gateway: ScriptedGateway, client: Inference) -> None:
    delay = duration_pb2.Duration(seconds=1, nanos=500_000_000)
    gateway.fail(
        "Run",
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "full",
        Detail(code=errors_pb2.ERROR_CODE_NO_WORKER_AVAILABLE),
        error_details_pb2.RetryInfo(retry_delay=delay),
    )
    error = raised(client)
    assert isinstance(error, NoWorkerAvailableError)
    assert error.retry_after == 1.5
    only_in_detail = Detail(code=errors_pb2.ERROR_CODE_SESSION_BUSY, retry_after=delay)
    assert from_detail(only_in_detail).retry_after == 1.5


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errors_pb2.ERROR_CODE_APP_ERROR, AppError),
        (errors_pb2.ERROR_CODE_APP_START_FAILED, AppStartFailedError),
    ],
)
def test_an_error_of_the_app_says_what_was_raised(code: Any, expected: type) -> None:
    failure = errors_pb2.AppFailure(type="KeyError", message="'x'", traceback="line 1")
    error = from_detail(Detail(code=code, app_failure=failure))
    assert isinstance(error, expected)
    assert isinstance(error, AppError | AppStartFailedError)
    assert (error.type, error.app_message, error.traceback) == ("KeyError", "'x'", "line 1")


def test_a_lost_worker_says_how_it_died() -> None:
    exit_code = errors_pb2.WorkerExit(exit_code=0)
    error = from_detail(Detail(code=errors_pb2.ERROR_CODE_WORKER_LOST, worker_exit=exit_code))
    assert isinstance(error, WorkerLostError)
    assert error.worker_exit == {"exit_code": 0}
    unseen = from_detail(Detail(code=errors_pb2.ERROR_CODE_WORKER_LOST, worker_exit=errors_pb2.WorkerExit()))
    assert unseen.worker_exit == {}


def test_an_internal_error_has_the_id_of_its_log_entry() -> None:
    error = from_detail(Detail(code=errors_pb2.ERROR_CODE_INTERNAL, error_id="e1"))
    assert isinstance(error, InternalError)
    assert error.error_id == "e1"


def test_a_mismatch_names_both_versions() -> None:
    detail = Detail(
        code=errors_pb2.ERROR_CODE_VERSION_MISMATCH,
        session_app=errors_pb2.AppVersion(app="kv", version="1"),
        requested_app=errors_pb2.AppVersion(app="kv", version="2"),
    )
    error = from_detail(detail)
    assert isinstance(error, VersionMismatchError)
    assert (error.session_app, error.requested_app) == ("kv@1", "kv@2")


def test_a_code_of_a_newer_gateway_is_the_base_class_with_the_gateways_name_for_it(
    gateway: ScriptedGateway, client: Inference
) -> None:
    info = error_details_pb2.ErrorInfo(reason="MOON_IS_FULL", domain="sessiongateway")
    newer: Any = 999
    gateway.fail("Run", grpc.StatusCode.ABORTED, "wait", info, Detail(code=newer, session_id="sess_a"))
    error = raised(client)
    assert type(error) is SessionGatewayError
    assert (error.code, error.message, error.session_id) == ("MOON_IS_FULL", "wait", "sess_a")
    assert from_detail(Detail(code=newer)).code == "UNKNOWN_999"


def test_the_reason_alone_suffices_to_tell_the_class(gateway: ScriptedGateway, client: Inference) -> None:
    info = error_details_pb2.ErrorInfo(
        reason="SESSION_EXPIRED", domain="sessiongateway", metadata={"httpStatus": "410"}
    )
    gateway.fail("Run", grpc.StatusCode.FAILED_PRECONDITION, "over", info)
    error = raised(client)
    assert isinstance(error, SessionExpiredError)
    assert (error.details, error.http_status) == (None, 410)


def test_the_reason_of_another_domain_means_nothing_here(gateway: ScriptedGateway, client: Inference) -> None:
    info = error_details_pb2.ErrorInfo(reason="SESSION_EXPIRED", domain="proxy.example")
    gateway.fail("Run", grpc.StatusCode.PERMISSION_DENIED, "no", info)
    error = raised(client)
    assert (type(error), error.code) == (SessionGatewayError, "PERMISSION_DENIED")


def test_a_status_without_details_is_the_base_class_with_its_name(gateway: ScriptedGateway, client: Inference) -> None:
    gateway.fail("Run", grpc.StatusCode.UNIMPLEMENTED, "what?")
    error = raised(client)
    assert (type(error), error.code, error.message) == (SessionGatewayError, "UNIMPLEMENTED", "what?")
    assert (error.run_state, error.details, error.metadata) == ("unknown", None, {})


def test_broken_details_do_not_hide_the_status(gateway: ScriptedGateway, client: Inference) -> None:
    async def broken(request: Any, context: Any) -> None:
        garbage = (("grpc-status-details-bin", b"\xff\xff\xff"),)
        await context.abort(grpc.StatusCode.DATA_LOSS, "oh", trailing_metadata=garbage)

    gateway.on("Run", broken)
    assert raised(client).code == "DATA_LOSS"


async def test_both_clients_raise_the_same(gateway: ScriptedGateway, async_client: AsyncInference) -> None:
    gateway.fail("GetSession", grpc.StatusCode.NOT_FOUND, "no", Detail(code=errors_pb2.ERROR_CODE_SESSION_NOT_FOUND))
    with pytest.raises(sessiongateway.SessionNotFoundError) as caught:
        await async_client.sessions.get("sess_x")
    assert caught.value.run_state is None


def test_errors_survive_copying_and_pickling() -> None:
    failure = errors_pb2.AppFailure(type="KeyError")
    error = from_detail(Detail(code=errors_pb2.ERROR_CODE_APP_ERROR, message="m", app_failure=failure))
    for twin in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is AppError
        assert vars(twin) == vars(error)
        assert str(twin) == str(error)
