"""Which process a request is for.

Whatever has an id is its process's, by the id alone (`Share.owner`). What has none yet is for the process that got it,
as long as that has room: then the session's next calls, which commonly come over the same connection, are at home.
"""

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from gateway.board import Figure, Member
from gateway.model import SESSION_ID_PREFIX
from gateway.rpc.peers.requests import Heads
from gateway.rpc.peers.wire import Flag
from gateway.sessions.requests import NEW
from gateway.share import Share
from gateway.workers.room import Room


class Routes:
    """Decides for one process. Reads of a request no more than its ids."""

    def __init__(self, share: Share, member: Member, room: Room, max_shared: int) -> None:
        self._share = share
        self._member = member
        self._room = room
        self._max_shared = max_shared
        self._heads = Heads()

    def of_call(self, data: bytes, principal: str) -> tuple[int, Flag]:
        """Return the process for a RunRequest, and what it is to know."""
        try:
            head = self._heads.of_call(data)
        except DecodeError:
            return self._share.index, Flag.NONE  # which says what is wrong
        if head.session.startswith(SESSION_ID_PREFIX):
            return self._share.owner(head.session), Flag.NONE
        if head.session == NEW:
            return self._of_new(head.worker_id, head.request_id, principal), Flag.NONE
        if head.session or head.worker_id:
            return self._share.index, Flag.NONE  # INVALID_REQUEST
        return self._of_plain(head.request_id, principal), Flag.PLAIN

    def of_session(self, data: bytes) -> int:
        """Return the process for a request whose first field is `session_id`."""
        try:
            return self.of_id(self._heads.session_id(data))
        except DecodeError:
            return self._share.index

    def of_id(self, session_id: str) -> int:
        """Return the process that has a session; for what cannot be one, this one."""
        return self._share.owner(session_id) if session_id.startswith(SESSION_ID_PREFIX) else self._share.index

    def session_of(self, name: str, data: bytes) -> str:
        """Return the id of the session that a request is for, empty when it is for none yet."""
        return self._heads.session_of(name, data)

    def is_for_another(self, name: str, data: bytes) -> bool:
        """Never: all processes have the same rule."""
        return False

    def _of_new(self, worker_id: str, request_id: str, principal: str) -> int:
        if worker_id:
            return self._share.owner(worker_id)
        if request_id:
            return self._share.owner(f"{principal}\n{request_id}")
        if self._room.free > 0 or self._member.shown(Figure.IDLE) > 0:
            return self._share.index
        board = self._member.board
        for other in self._serving():
            if board.shown(other, Figure.IDLE) > 0 and not board.shown(other, Figure.WAITING):
                return other
        return self._share.index

    def _of_plain(self, request_id: str, principal: str) -> int:
        # With fewer shared workers than processes the last ones have none.
        places = min(self._share.count, self._max_shared)
        if request_id:
            return Share(0, places).owner(f"{principal}\n{request_id}")
        own = self._share.index
        if own < places and self._load(own) < 1:
            return own
        others = [other for other in self._serving() if other < places]
        if own < places:
            others.insert(0, own)  # which it stays at, if nobody has less to do
        return min(others, key=self._load, default=0)

    def _load(self, index: int) -> float:
        return self._member.board.shown(index, Figure.PLAIN) / Share(index, self._share.count).part(self._max_shared)

    def _serving(self) -> Iterable[int]:
        return (other for other in self._member.others() if self._member.serving(other))
