"""What the yardsticks that speak the gateway's messages answer with: a session filled in as a live one is."""

import time

from sessiongateway.v1 import sessions_pb2 as pb

CALL_ID = "call_" + 16 * "a"


def a_session() -> pb.Session:
    """Return a session with every field that a live one has, of the same size."""
    session = pb.Session(
        id="sess_" + 26 * "a",
        app="echo",
        version="0123456789ab",
        status=pb.SESSION_STATUS_ACTIVE,
        worker_id="wrk_" + 16 * "a",
        session_timeout=3600,
        call_count=100,
    )
    now = time.time()
    for field in (session.created_at, session.expires_at, session.last_call_at):
        field.seconds, field.nanos = int(now), 123_456_000
    session.expires_in.seconds, session.expires_in.nanos = 3599, 999_000_000
    return session
