"""Which process a request is for.

Whatever has an id is its process's, by the id alone (`Share.owner`). What has none yet is for the process that got it,
as long as that has room: then the session's next calls, which commonly come over the same connection, are at home.
"""

from collections.abc import Iterable

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.board import Figure, Member
from gateway.model import SESSION_ID_PREFIX
from gateway.rpc.peers.wire import Flag
from gateway.rpc.raw import CALLS
from gateway.sessions.requests import NEW
from gateway.share import Share
from gateway.workers.room import Room
from sessiongateway.v1 import sessions_pb2 as pb

_RUN = ("session", "worker_id", "request_id")


class Routes:
    """Decides for one process. Reads of a request no more than its ids."""

    def __init__(self, share: Share, member: Member, room: Room, max_shared: int) -> None:
        self._share = share
        self._member = member
        self._room = room
        self._max_shared = max_shared
        self._run = _head_of(pb.RunRequest.DESCRIPTOR, _RUN)
        self._session = _head_of(pb.GetSessionRequest.DESCRIPTOR, ("session_id",))
        assert all(
            _number(method) == _number(pb.GetSessionRequest) for method in (pb.KeepaliveRequest, pb.EndSessionRequest)
        )

    def of_call(self, data: bytes, principal: str) -> tuple[int, Flag]:
        """Return the process for a RunRequest, and what it is to know."""
        try:
            head = self._run.FromString(data)
        except DecodeError:
            return self._share.index, Flag.NONE  # which says what is wrong
        session: str = head.session  # type: ignore[attr-defined]  # made at run time
        if session.startswith(SESSION_ID_PREFIX):
            return self._share.owner(session), Flag.NONE
        worker_id: str = head.worker_id  # type: ignore[attr-defined]
        request_id: str = head.request_id  # type: ignore[attr-defined]
        if session == NEW:
            return self._of_new(worker_id, request_id, principal), Flag.NONE
        if session or worker_id:
            return self._share.index, Flag.NONE  # INVALID_REQUEST
        return self._of_plain(request_id, principal), Flag.PLAIN

    def of_session(self, data: bytes) -> int:
        """Return the process for a request whose first field is `session_id`."""
        try:
            session_id: str = self._session.FromString(data).session_id  # type: ignore[attr-defined]
        except DecodeError:
            return self._share.index
        return self.of_id(session_id)

    def session_of(self, name: str, data: bytes) -> str:
        """Return the id of the session that a request is for, empty when it is for none yet."""
        if name in CALLS:
            session: str = self._run.FromString(data).session  # type: ignore[attr-defined]
            return session if session.startswith(SESSION_ID_PREFIX) else ""
        return str(self._session.FromString(data).session_id)  # type: ignore[attr-defined]

    def of_id(self, session_id: str) -> int:
        """Return the process that has a session; for what cannot be one, this one."""
        return self._share.owner(session_id) if session_id.startswith(SESSION_ID_PREFIX) else self._share.index

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


def _head_of(whole: object, fields: tuple[str, ...]) -> type[Message]:
    """Return a message with some of the fields of another: the rest is skipped and not looked into."""
    source = descriptor_pb2.DescriptorProto()
    whole.CopyToProto(source)  # type: ignore[attr-defined]  # of a message's descriptor
    file = descriptor_pb2.FileDescriptorProto(name=f"head/{source.name}.proto", package="head", syntax="proto3")
    head = file.message_type.add(name=source.name)
    for field in source.field:
        if field.name in fields:
            head.field.add(name=field.name, number=field.number, type=field.type, label=field.label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"head.{source.name}"))


def _number(message: type[Message]) -> int:
    return message.DESCRIPTOR.fields_by_name["session_id"].number
