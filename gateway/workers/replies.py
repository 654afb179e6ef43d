"""From what a worker says of a failure to the error of the contract that it is."""

from gateway.errors import (
    AppError,
    AppStartFailed,
    CallCountMismatch,
    CallTimedOut,
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
from gateway.worker.failures import TIMED_OUT
from gateway.workers.base import WorkerCall
from sessiongateway.worker.v1 import worker_pb2 as pb

_NOT_RUN = (pb.FAILURE_KIND_CHECK_RAISED, pb.FAILURE_KIND_NOT_BEGUN)


def call_error(app: AppRef, worker_id: str, call: WorkerCall, failure: pb.Failure) -> GatewayError:
    """Return the error of a call that a worker answered with a failure."""
    error = _call_error(app, worker_id, call, failure)
    if error.run_state is None:
        error.run_state = RunState.NOT_STARTED
    return error


def _call_error(app: AppRef, worker_id: str, call: WorkerCall, failure: pb.Failure) -> GatewayError:
    place = {"app": app.name, "version": app.version, "function": call.function}
    match failure.kind:
        case pb.FAILURE_KIND_MALFORMED:
            field = "input" if call.as_struct else "input_json"
            error: GatewayError = InvalidRequest.of([Violation(field, failure.message)])
        case pb.FAILURE_KIND_INVALID_INPUT:
            error = _invalid_input(app, place, failure)
        case pb.FAILURE_KIND_FENCED:
            error = WorkerLeased.of(worker_id)
        case pb.FAILURE_KIND_REQUEST_ID_REUSED:
            error = RequestIdReused.of(call.request_id)
        case pb.FAILURE_KIND_MOVED_ON:
            error = CallCountMismatch(
                f"session {call.session_id} has not had exactly {call.expected_calls} calls: it has moved on",
                metadata={"sessionId": call.session_id, "expectedCallCount": str(call.expected_calls)},
            )
        case pb.FAILURE_KIND_NO_FUNCTION:
            error = FunctionNotFound(f"{app} has no function {call.function}", metadata=place)
        case _ if failure.type == TIMED_OUT:
            error = timed_out_error(app, call.function, failure.message)
        case _:
            error = AppError(
                f"{call.function} of {app} raised {failure.type}: {failure.message}",
                metadata={**place, "exceptionType": failure.type},
                failure=Failure(failure.type, failure.message, failure.traceback),
                run_state=RunState.NOT_STARTED if failure.kind in _NOT_RUN else RunState.COMPLETED,
            )
    return error


def _invalid_input(app: AppRef, place: dict[str, str], failure: pb.Failure) -> InvalidInput:
    violations = [Violation(v.field, v.description) for v in failure.violations]
    listed = "; ".join(f"{v.field}: {v.description}" for v in violations)
    return InvalidInput(
        f"{app} refuses the input of {place['function']}: {listed}",
        metadata={**place, "fields": ", ".join(v.field for v in violations)},
        violations=violations,
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


def oversize_error(app: AppRef, call: WorkerCall, size: int, *, partial: bool = False) -> AppError:
    """Return the error of a call whose answer, or partial output, has more bytes than it may.

    A worker refuses to send such; this is for one that writes to its socket what it likes. A call that yields too much
    is cancelled for it.
    """
    what = "a partial output" if partial else "the answer"
    failure = Failure("OutputTooLarge", f"{what} is {size} bytes; this gateway passes on at most {call.max_output}")
    return AppError(
        f"{call.function} of {app}: {failure.message}",
        metadata={"app": app.name, "version": app.version, "function": call.function, "exceptionType": failure.type},
        failure=failure,
        run_state=RunState.UNKNOWN if partial else RunState.COMPLETED,
    )


def timed_out_error(app: AppRef, function: str, limit: str) -> CallTimedOut:
    """Return the error of a call that took longer than its app allows. `limit` is that, in seconds."""
    return CallTimedOut(
        f"{function} of {app} took longer than the {limit} s that the app allows a call",
        metadata={"app": app.name, "version": app.version, "function": function, "limit": limit},
        run_state=RunState.UNKNOWN,
    )


def lost_error(worker_id: str, exit_: WorkerExit, run_state: RunState) -> WorkerLost:
    """Return the error of a call whose worker's process died."""
    how = f"was killed for exceeding limits.{exit_.limit} of its app" if exit_.limit else f"died ({exit_})"
    limit = {"limit": exit_.limit} if exit_.limit else {}
    return WorkerLost(
        f"worker {worker_id} {how} while the call was in flight",
        metadata={"workerId": worker_id, "exit": str(exit_), **limit},
        worker_exit=exit_,
        run_state=run_state,
    )
