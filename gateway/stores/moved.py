"""An active session as a call or a renewal leaves it: what every store works out for every call."""

from gateway.model import Session


def moved(
    was: Session, until: tuple[float, float], in_flight: int, last_call_at: float | None, call_count: int
) -> Session:
    """Return an active session with other calls, and a window until then, on the monotonic and the wall clock."""
    deadline, expires_at = until
    # By position, which costs half of dataclasses.replace: one for each call.
    return Session(
        was.id,
        was.owner,
        was.app,
        was.worker_id,
        was.epoch,
        was.timeout,
        was.created_at,
        expires_at,
        deadline,
        was.status,
        last_call_at=last_call_at,
        call_count=call_count,
        in_flight=in_flight,
    )
