"""From the answers on a keepalive stream to messages: at best one for all of them."""

from collections.abc import Iterator

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.clock import Instant
from gateway.errors import GatewayError
from gateway.model import Session
from gateway.rpc.codec import session_message
from gateway.rpc.details import detail_of
from gateway.sessions.keepalive import KeepaliveAnswers, KeepaliveOutcome
from sessiongateway.v1 import sessions_pb2 as pb


class KeepaliveEncoder:
    """Encodes for one stream. What a renewal does not change of a session is encoded once for all of its renewals."""

    def __init__(self) -> None:
        self._constant: dict[str, tuple[Session, bytes]] = {}

    def responses(self, answers: KeepaliveAnswers, now: Instant) -> Iterator[pb.StreamKeepaliveResponse]:
        """Yield the messages of answers that are read at this moment."""
        if answers.renewed:
            response = pb.StreamKeepaliveResponse()
            for (deadline, expires_at), session_ids in answers.renewed.items():
                group = response.renewed.add(session_ids=session_ids)
                _set_end(group.expires_at, group.expires_in, deadline, expires_at, now)
            yield response
        for outcome in answers.outcomes:
            yield self._outcome(outcome, now)

    def _outcome(self, outcome: KeepaliveOutcome, now: Instant) -> pb.StreamKeepaliveResponse:
        session_id, found = outcome.session_id, outcome.outcome
        if isinstance(found, GatewayError):
            self._constant.pop(session_id, None)
            return pb.StreamKeepaliveResponse(session_id=session_id, error=detail_of(found))
        if outcome.renewed is None:
            return pb.StreamKeepaliveResponse(session_id=session_id, session=session_message(found, now))
        response = pb.StreamKeepaliveResponse.FromString(self._before(found))
        session, renewed = response.session, outcome.renewed
        _set_end(
            session.expires_at,
            session.expires_in,
            renewed.monotonic + found.timeout,
            renewed.wall + found.timeout,
            now,
        )
        return response

    def _before(self, session: Session) -> bytes:
        """Return the answer as far as it is known without the renewal."""
        known, data = self._constant.get(session.id, (None, b""))
        if known is not session:
            message = pb.StreamKeepaliveResponse(
                session_id=session.id, session=session_message(session, Instant(session.deadline, session.expires_at))
            )
            message.session.ClearField("expires_at")
            message.session.ClearField("expires_in")
            data = message.SerializeToString()
            self._constant[session.id] = session, data
        return data


def _set_end(expires_at: Timestamp, expires_in: Duration, deadline: float, wall: float, now: Instant) -> None:
    expires_at.seconds = int(wall)
    expires_at.nanos = int(wall % 1 * 1e6) * 1000  # a float of today has microseconds
    left = max(0.0, deadline - now.monotonic)
    expires_in.seconds = int(left)
    expires_in.nanos = int(left % 1 * 1e9)
