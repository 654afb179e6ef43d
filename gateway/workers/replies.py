"""From what a worker says of a failure to the error of the contract that it is."""

from gateway.errors import (
    AppError,
    AppStartFailed,
    CallCountMismatch,
    Failure,
    FunctionNotFound,
    GatewayError,
    InvalidInput,
    InvalidRequest,
    RequestIdReused,
    RunState,
    Violation,
    WorkerExit,
    WorkerLeased,
    WorkerLost,
)
from gateway.model import AppRef
from gateway.workers.base import WorkerCall
from sessiongateway.worker.v1 import worker_pb2 as pb


def call_error(app: AppRef, worker_id: str, call: WorkerCall, failure: pb.Failure) -> GatewayError:
    """Return the error of a call that a worker answered with a failure."""
    error = _call_error(app, worker_id, call, failure)
    if error.run_state is None:
        error.run_state = RunState.NOT_STARTED
    return error


def _call_error(app: AppRef, worker_id: str, call: WorkerCall, failure: pb.Failure) -> GatewayError:
    function = call.function
    place = {"app": app.name, "version": app.version, "function": function}
    if failure.kind == pb.FAILURE_KIND_MALFORMED:
        field = "input" if call.as_struct else "input_json"
        return InvalidRequest.of([Violation(field, failure.message)])
    if failure.kind == pb.FAILURE_KIND_INVALID_INPUT:
        violations = [Violation(v.field, v.description) for v in failure.violations]
        fields = ", ".join(v.field for v in violations)
        return InvalidInput(
            f"{app} refuses the input of {function}: " + "; ".join(f"{v.field}: {v.description}" for v in violations),
            metadata={**place, "fields": fields},
            violations=violations,
        )
    if failure.kind == pb.FAILURE_KIND_FENCED:
        return WorkerLeased.of(worker_id)
    if failure.kind == pb.FAILURE_KIND_REQUEST_ID_REUSED:
        return RequestIdReused.of(call.request_id)
    if failure.kind == pb.FAILURE_KIND_MOVED_ON:
        return CallCountMismatch(
            f"session {call.session_id} has not had exactly {call.expected_calls} calls: it has moved on",
            metadata={"sessionId": call.session_id, "expectedCallCount": str(call.expected_calls)},
        )
    if failure.kind == pb.FAILURE_KIND_NO_FUNCTION:
        return FunctionNotFound(f"{app} has no function {function}", metadata=place)
    return AppError(
        f"{function} of {app} raised {failure.type}: {failure.message}",
        metadata={**place, "exceptionType": failure.type},
        failure=Failure(failure.type, failure.message, failure.traceback),
        run_state=RunState.COMPLETED,
    )


def start_error(app: AppRef, failure: pb.Failure) -> AppStartFailed:
    """Return the error of an app that could not be imported, constructed or set up."""
    return AppStartFailed(
        f"{app} does not start: {failure.type}: {failure.message}",
        metadata={"app": app.name, "version": app.version, "exceptionType": failure.type},
        failure=Failure(failure.type, failure.message, failure.traceback),
        run_state=RunState.NOT_STARTED,
    )


def start_exit_error(app: AppRef, exit_: WorkerExit, what: str) -> AppStartFailed:
    """Return the error of an app whose process ended, or was ended, before it was ready."""
    return start_error(app, pb.Failure(type="ProcessExit", message=f"{what} ({exit_})"))


def lost_error(worker_id: str, exit_: WorkerExit, run_state: RunState) -> WorkerLost:
    """Return the error of a call whose worker's process died."""
    return WorkerLost(
        f"worker {worker_id} died ({exit_}) while the call was in flight",
        metadata={"workerId": worker_id, "exit": str(exit_)},
        worker_exit=exit_,
        run_state=run_state,
    )
