"""What a request says of where it is to go: no more than its ids is read of it."""

from typing import NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.model import SESSION_ID_PREFIX
from gateway.rpc.raw import CALLS
from sessiongateway.v1 import sessions_pb2 as pb

_RUN = ("session", "worker_id", "request_id")

OF_SESSIONS = frozenset({"GetSession", "Keepalive", "EndSession"})
"""Methods whose requests have the id of a session in their first field, and nothing else that matters here."""


class CallHead(NamedTuple):
    """The ids of a RunRequest."""

    session: str
    worker_id: str
    request_id: str


class Heads:
    """Reads the ids of requests. Each method raises DecodeError for what is none."""

    def __init__(self) -> None:
        self._run = _head_of(pb.RunRequest.DESCRIPTOR, _RUN)
        self._session = _head_of(pb.GetSessionRequest.DESCRIPTOR, ("session_id",))
        assert all(
            _number(method) == _number(pb.GetSessionRequest) for method in (pb.KeepaliveRequest, pb.EndSessionRequest)
        )

    def of_call(self, data: bytes) -> CallHead:
        """Return the ids of a RunRequest."""
        head = self._run.FromString(data)
        return CallHead(head.session, head.worker_id, head.request_id)  # type: ignore[attr-defined]  # made at run time

    def session_id(self, data: bytes) -> str:
        """Return the id in a request of `OF_SESSIONS`."""
        return str(self._session.FromString(data).session_id)  # type: ignore[attr-defined]

    def session_of(self, name: str, data: bytes) -> str:
        """Return the id of the session that a request is for, empty when it is for none yet."""
        if name in CALLS:
            session = self.of_call(data).session
            return session if session.startswith(SESSION_ID_PREFIX) else ""
        return self.session_id(data)


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
