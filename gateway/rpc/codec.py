"""From what the manager answers to messages."""

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clock import Instant
from gateway.model import EndReason, Session, SessionStatus
from gateway.rpc.details import worker_exit
from gateway.sessions.catalog import AppSummary
from gateway.sessions.requests import RunAnswer
from gateway.sessions.watch import WatchEvent, WatchEventKind
from sessiongateway.v1 import apps_pb2, errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb

_STATUSES = {status: pb.SessionStatus.Value(f"SESSION_STATUS_{status.name}") for status in SessionStatus}
_ACTIVE = _STATUSES[SessionStatus.ACTIVE]  # that of nearly every answer: looking up an enum calls its hash in Python
_EVENTS = {kind: pb.SessionEvent.Value(f"SESSION_EVENT_{kind.name}") for kind in WatchEventKind}
_REASONS = {reason: errors_pb2.EndReason.Value(f"END_REASON_{reason.name}") for reason in EndReason}


def session_message(session: Session, now: Instant) -> pb.Session:
    """Return a session as callers see it, with the time left at this moment."""
    message = pb.Session()
    _fill(message, session, now)
    return message


def _fill(message: pb.Session, session: Session, now: Instant) -> None:
    # Field by field into the message where it belongs: once for every call, and half the cost of making and copying.
    message.id = session.id
    message.app = session.app.name
    message.version = session.app.version
    message.status = _ACTIVE if session.status is SessionStatus.ACTIVE else _STATUSES[session.status]
    message.worker_id = session.worker_id
    message.session_timeout = session.timeout
    message.call_count = session.call_count
    _set_time(message.created_at, session.created_at)
    _set_time(message.expires_at, session.expires_at)
    left = session.expires_in(now.monotonic)
    message.expires_in.seconds = int(left)
    message.expires_in.nanos = int(left % 1 * 1e9)
    if session.end_reason is not None:
        message.end_reason = _REASONS[session.end_reason]
    if session.last_call_at is not None:
        _set_time(message.last_call_at, session.last_call_at)
    if session.ended_at is not None:
        _set_time(message.ended_at, session.ended_at)
    if session.worker_exit is not None:
        message.worker_exit.CopyFrom(worker_exit(session.worker_exit))


def run_response(answer: RunAnswer, as_struct: bool, now: Instant) -> pb.RunResponse:
    """Return the answer of a call, its output in the form of the request."""
    response = pb.RunResponse(call_id=answer.call_id)
    if as_struct:
        response.output.MergeFromString(answer.output)
    else:
        response.output_json = answer.output
    if answer.session is not None:
        response.session_id = answer.session.id
        _fill(response.session, answer.session, now)
    return response


def run_stream_response(part: bytes | RunAnswer, as_struct: bool, now: Instant) -> pb.RunStreamResponse:
    """Return a partial output, or the answer at the end, in the form of the request."""
    if isinstance(part, RunAnswer):
        return pb.RunStreamResponse(result=run_response(part, as_struct, now))
    if as_struct:
        return pb.RunStreamResponse(partial=Struct.FromString(part))
    return pb.RunStreamResponse(partial_json=part)


def watch_response(event: WatchEvent) -> pb.WatchSessionsResponse:
    """Return one message of a watch: the same each time that the event is read, so with the time left back then."""
    response = pb.WatchSessionsResponse(event=_EVENTS[event.kind], resume_token=event.resume_token)
    _set_time(response.occurred_at, event.occurred_at)
    if event.session is not None:
        then = Instant(event.session.deadline - event.session.timeout, event.occurred_at)
        _fill(response.session, event.session, then)
    return response


def app_message(summary: AppSummary) -> apps_pb2.App:
    """Return an app as callers see it."""
    app = summary.app
    return apps_pb2.App(
        name=app.ref.name,
        version=app.ref.version,
        current_version=summary.versions[0],
        versions=summary.versions,
        default_function=summary.default_function,
        concurrency=app.concurrency,
        idle_worker_ids=summary.idle_workers,
        functions=[
            apps_pb2.Function(
                name=function.name,
                description=function.description,
                input_schema=function.input_schema,
                output_schema=function.output_schema,
                streams=function.streams,
                partial_schema=function.partial_schema,
            )
            for function in summary.functions
        ],
    )


def _set_time(message: Timestamp, seconds: float) -> None:
    message.seconds = int(seconds)
    message.nanos = int(seconds % 1 * 1e6) * 1000  # a float of today has microseconds
