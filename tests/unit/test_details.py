"""Details of a status: complete, and under 4 KiB whatever an exception says."""

import pytest
from google.rpc import error_details_pb2

from gateway.errors import (
    AppError,
    AppMismatch,
    AppStartFailed,
    Failure,
    GatewayError,
    InternalError,
    InvalidInput,
    InvalidRequest,
    RunState,
    SessionBusy,
    SessionEnded,
    VersionMismatch,
    Violation,
    WorkerExit,
    WorkerLost,
)
from gateway.rpc.details import DOMAIN, MAX_MESSAGE, MAX_STATUS_BYTES, cut, detail_of, status_of
from gateway.rpc.error_table import ROWS, row_of
from sessiongateway.v1 import errors_pb2

TEXTS = ["", "x" * 9_000, "ä" * 9_000, "😀" * 9_000, "\0" * 9_000, "\n" * 9_000, "\ud800" * 5_000, "a\ud800b"]


def everything(kind: type[GatewayError], text: str, count: int) -> GatewayError:
    """Return an error with every field as full as it can be."""
    error = kind(
        text,
        metadata=dict.fromkeys(ROWS[kind].metadata, text),
        session_id="sess_" + "x" * 123,
        run_state=RunState.UNKNOWN,
        retry_after=1.5,
        violations=[Violation(f"input.{text}.{n}", text) for n in range(count)],
        failure=Failure(text, text, cut(text, 100_000)) if kind in (AppError, AppStartFailed) else None,
        worker_exit=WorkerExit(signal=9),
    )
    error.call_id = "call_" + "x" * 16
    error.end_reason = "worker_lost"
    if isinstance(error, AppMismatch | VersionMismatch):
        error.bound = error.requested = ("n" * 129, "v" * 64)
    return error


def unpacked(error: GatewayError, kind: type) -> list[object]:
    return [
        kind.FromString(packed.value)  # type: ignore[attr-defined]
        for packed in status_of(error).details
        if packed.Is(kind.DESCRIPTOR)  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize("kind", [kind for kind in ROWS if kind is not InternalError], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("count", [0, 1, 8, 500])
def test_a_status_stays_under_4_kib_whatever_is_in_it(kind: type[GatewayError], count: int) -> None:
    for text in TEXTS:
        status = status_of(everything(kind, text, count))
        assert status.ByteSize() <= MAX_STATUS_BYTES
        kinds = [packed.TypeName() for packed in status.details]
        assert kinds[:2] == ["google.rpc.ErrorInfo", "sessiongateway.v1.ErrorDetail"]
        assert ("google.rpc.BadRequest" in kinds) == (count > 0)
        assert "google.rpc.RetryInfo" in kinds


@pytest.mark.parametrize("length", range(0, 6000, 97))
def test_a_traceback_takes_what_is_left_and_keeps_its_end(length: int) -> None:
    traceback = ("line of code\n" * 500)[:length] + "ValueError: the end"
    error = AppError("x", metadata={}, failure=Failure("ValueError", "m", traceback))
    status = status_of(error)
    assert status.ByteSize() <= MAX_STATUS_BYTES
    (detail,) = (
        errors_pb2.ErrorDetail.FromString(p.value) for p in status.details if p.Is(errors_pb2.ErrorDetail.DESCRIPTOR)
    )
    kept = detail.app_failure.traceback
    assert kept.endswith("ValueError: the end")
    assert kept == traceback or (kept.startswith("…") and status.ByteSize() > MAX_STATUS_BYTES - 100)


def test_every_code_is_in_the_info_and_in_the_detail() -> None:
    for kind, row in ROWS.items():
        error = InternalError() if kind is InternalError else everything(kind, "text", 0)
        (info,) = unpacked(error, error_details_pb2.ErrorInfo)
        assert (info.reason, info.domain) == (row.code, DOMAIN)  # type: ignore[attr-defined]
        assert set(info.metadata) == {*row.metadata, "httpStatus"}  # type: ignore[attr-defined]
        assert info.metadata["httpStatus"] == str(row.http)  # type: ignore[attr-defined]
        detail = detail_of(error)
        assert detail.code == errors_pb2.ErrorCode.Value(f"ERROR_CODE_{row.code}")
        assert detail.http_status == row.http
        assert status_of(error).code == row.status.value[0]


def test_every_code_of_the_proto_has_one_row() -> None:
    names = errors_pb2.ErrorCode.DESCRIPTOR.values_by_name
    codes = {name.removeprefix("ERROR_CODE_") for name in names} - {"UNSPECIFIED"}
    assert {row.code for row in ROWS.values()} == codes
    assert len(ROWS) == len(codes)


def test_a_subclass_has_the_row_of_its_class() -> None:
    class VeryBusy(SessionBusy):
        """A special case."""

    assert row_of(VeryBusy("x")).code == "SESSION_BUSY"


def test_what_is_not_known_is_left_out() -> None:
    detail = detail_of(SessionBusy("busy"))
    assert detail.run_state == errors_pb2.RUN_STATE_UNSPECIFIED
    assert detail.end_reason == errors_pb2.END_REASON_UNSPECIFIED
    for field in ("retry_after", "app_failure", "worker_exit", "session_app", "requested_app"):
        assert not detail.HasField(field)


@pytest.mark.parametrize(
    ("exit_", "how", "value"),
    [
        (WorkerExit(signal=9), "signal", 9),
        (WorkerExit(exit_code=0), "exit_code", 0),
        (WorkerExit(exit_code=1), "exit_code", 1),
        (WorkerExit(), None, None),
    ],
)
def test_how_a_worker_ended_is_told(exit_: WorkerExit, how: str | None, value: int | None) -> None:
    detail = detail_of(WorkerLost("lost", worker_exit=exit_))
    assert detail.worker_exit.WhichOneof("how") == how
    if how is not None:
        assert getattr(detail.worker_exit, how) == value


def test_run_states_and_end_reasons_are_told() -> None:
    for state in RunState:
        detail = detail_of(SessionEnded("x", run_state=state))
        assert errors_pb2.RunState.Name(detail.run_state) == f"RUN_STATE_{state.name}"
    error = SessionEnded("x")
    error.end_reason = "gateway_restarted"
    assert detail_of(error).end_reason == errors_pb2.END_REASON_GATEWAY_RESTARTED


def test_an_unforeseen_error_tells_its_id_and_nothing_of_its_cause() -> None:
    error = InternalError(RunState.UNKNOWN)
    error.__cause__ = ValueError("a secret of ours")
    status = status_of(error)
    assert b"secret" not in status.SerializeToString()
    assert detail_of(error).error_id == error.error_id
    assert error.error_id in status.message


def test_violations_are_all_there_or_counted() -> None:
    few = InvalidRequest.of([Violation(f"f{n}", "wrong") for n in range(8)])
    (bad_request,) = unpacked(few, error_details_pb2.BadRequest)
    assert [v.field for v in bad_request.field_violations] == [f"f{n}" for n in range(8)]  # type: ignore[attr-defined]
    many = InvalidInput("x", violations=[Violation(f"f{n}", "wrong") for n in range(100)])
    (bad_request,) = unpacked(many, error_details_pb2.BadRequest)
    shown = bad_request.field_violations  # type: ignore[attr-defined]
    assert shown[-1].description.endswith(f"(and {100 - len(shown)} more)")


@pytest.mark.parametrize("size", [3, 4, 10, MAX_MESSAGE])
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:1]))
def test_a_cut_text_is_valid_and_not_longer_than_said(text: str, size: int) -> None:
    result = cut(text, size)
    assert len(result.encode()) <= size
    assert result == text or result.endswith("…") or "\\ud800" in result
