"""The error that tells of a session that is over."""

from datetime import UTC, datetime

from gateway.errors import GatewayError, RunState, SessionEnded, SessionExpired, WorkerExit
from gateway.model import EndReason, Session, SessionStatus

_BY_WHAT = {
    EndReason.CALLER: "was ended by its caller",
    EndReason.WORKER_LOST: "has ended because its worker died",
    EndReason.FIRST_CALL_FAILED: "was ended because its first call failed",
    EndReason.GATEWAY_RESTARTED: "has ended because the gateway was restarted",
    EndReason.MAX_LIFETIME: "has ended because it lived for as long as a session of its app may",
    EndReason.CALL_TIMED_OUT: "was ended because a call took longer than its app allows and did not give way",
    EndReason.MEMORY_LIMIT: "was ended because its worker held more memory than its app allows",
    EndReason.PROCESS_LIMIT: "was ended because its worker had more processes than its app allows",
    EndReason.DISK_LIMIT: "was ended because its directory held more than its app allows",
}

_UNSEEN = "nobody saw how; its gateway or its machine may have gone with it"


def finished_error(session: Session, run_state: RunState | None = None) -> GatewayError:
    """Return what a call or a keepalive of this finished session is answered with."""
    ended_at = datetime.fromtimestamp(session.ended_at or 0.0, UTC).isoformat(timespec="milliseconds")
    error: GatewayError
    if session.status is SessionStatus.EXPIRED:
        error = SessionExpired(
            f"session {session.id} expired at {ended_at}, after {session.timeout} s without a call",
            metadata={"sessionId": session.id, "endedAt": ended_at, "sessionTimeout": str(session.timeout)},
        )
    else:
        assert session.end_reason is not None
        how = ""
        if session.worker_exit is not None:
            how = f" ({_UNSEEN if session.worker_exit == WorkerExit() else session.worker_exit})"
        error = SessionEnded(
            f"session {session.id} {_BY_WHAT[session.end_reason]}{how} at {ended_at}",
            metadata={"sessionId": session.id, "endedAt": ended_at, "endReason": session.end_reason.value.upper()},
            worker_exit=session.worker_exit,
        )
    error.session_id = session.id
    error.run_state = run_state
    error.end_reason = session.end_reason.value if session.end_reason else ""
    return error
