"""From what the manager answers to messages."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clock import Instant
from gateway.errors import GatewayError
from gateway.model import EndReason, Session, SessionStatus
from gateway.rpc.details import detail_of, worker_exit
from gateway.sessions.catalog import AppSummary
from gateway.sessions.keepalive import KeepaliveOutcome
from gateway.sessions.requests import RunAnswer
from gateway.sessions.watch import WatchEvent, WatchEventKind
from sessiongateway.v1 import apps_pb2, errors_pb2
from sessiongateway.v1 import sessions_pb2 as pb

_STATUSES = {status: pb.SessionStatus.Value(f"SESSION_STATUS_{status.name}") for status in SessionStatus}
_EVENTS = {kind: pb.SessionEvent.Value(f"SESSION_EVENT_{kind.name}") for kind in WatchEventKind}
_REASONS = {reason: errors_pb2.EndReason.Value(f"END_REASON_{reason.name}") for reason in EndReason}


def session_message(session: Session, now: Instant) -> pb.Session:
    """Return a session as callers see it, with the time left at this moment."""
    message = pb.Session(
        id=session.id,
        app=session.app.name,
        version=session.app.version,
        status=_STATUSES[session.status],
        worker_id=session.worker_id,
        session_timeout=session.timeout,
        created_at=_timestamp(session.created_at),
        expires_at=_timestamp(session.expires_at),
        expires_in=_duration(session.expires_in(now.monotonic)),
        call_count=session.call_count,
    )
    if session.end_reason is not None:
        message.end_reason = _REASONS[session.end_reason]
    if session.last_call_at is not None:
        message.last_call_at.CopyFrom(_timestamp(session.last_call_at))
    if session.ended_at is not None:
        message.ended_at.CopyFrom(_timestamp(session.ended_at))
    if session.worker_exit is not None:
        message.worker_exit.CopyFrom(worker_exit(session.worker_exit))
    return message


def run_response(answer: RunAnswer, as_struct: bool, now: Instant) -> pb.RunResponse:
    """Return the answer of a call, its output in the form of the request."""
    response = pb.RunResponse(call_id=answer.call_id)
    if as_struct:
        response.output.CopyFrom(Struct.FromString(answer.output))
    else:
        response.output_json = answer.output
    if answer.session is not None:
        response.session_id = answer.session.id
        response.session.CopyFrom(session_message(answer.session, now))
    return response


def run_stream_response(part: bytes | RunAnswer, as_struct: bool, now: Instant) -> pb.RunStreamResponse:
    """Return a partial output, or the answer at the end, in the form of the request."""
    if isinstance(part, RunAnswer):
        return pb.RunStreamResponse(result=run_response(part, as_struct, now))
    if as_struct:
        return pb.RunStreamResponse(partial=Struct.FromString(part))
    return pb.RunStreamResponse(partial_json=part)


def keepalive_response(outcome: KeepaliveOutcome, now: Instant) -> pb.StreamKeepaliveResponse:
    """Return the news of one session on a stream."""
    if isinstance(outcome.outcome, GatewayError):
        return pb.StreamKeepaliveResponse(session_id=outcome.session_id, error=detail_of(outcome.outcome))
    return pb.StreamKeepaliveResponse(session_id=outcome.session_id, session=session_message(outcome.outcome, now))


def watch_response(event: WatchEvent) -> pb.WatchSessionsResponse:
    """Return one message of a watch: the same each time that the event is read, so with the time left back then."""
    response = pb.WatchSessionsResponse(
        event=_EVENTS[event.kind], occurred_at=_timestamp(event.occurred_at), resume_token=event.resume_token
    )
    if event.session is not None:
        then = Instant(event.session.deadline - event.session.timeout, event.occurred_at)
        response.session.CopyFrom(session_message(event.session, then))
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


def _timestamp(seconds: float) -> Timestamp:
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e6) * 1000)  # a float of today has microseconds


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))
