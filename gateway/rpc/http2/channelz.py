"""grpc.channelz.v1 for the gateway's own transport: one server, its listening sockets, its connections."""

import ipaddress
import socket
from typing import TYPE_CHECKING, Any, NoReturn

from grpc_channelz.v1 import channelz_pb2 as pb

from gateway.rpc.absent import CHANNELZ_NOT_FOUND, abort_absent

if TYPE_CHECKING:
    from gateway.rpc.http2.connection import Connection
    from gateway.rpc.http2.server import Http2Server

_SERVER = 1
"""The number of the server. Listening sockets follow it, connections have numbers beyond those of all of them."""

_PAGE = 100
"""Sockets of one answer, where the caller does not want fewer."""

Context = Any


class NativeChannelz:
    """Answers from what the server knows anyway. Of channels there are none: this is the side that is called."""

    def __init__(self, server: "Http2Server") -> None:
        self._server = server

    async def GetTopChannels(self, request: Any, context: Context) -> Any:
        return pb.GetTopChannelsResponse(end=True)

    async def GetServers(self, request: Any, context: Context) -> Any:
        servers = [self._told()] if request.start_server_id <= _SERVER else []
        return pb.GetServersResponse(server=servers, end=True)

    async def GetServer(self, request: Any, context: Context) -> Any:
        if request.server_id != _SERVER:
            await _none(context, "server", request.server_id)
        return pb.GetServerResponse(server=self._told())

    async def GetServerSockets(self, request: Any, context: Context) -> Any:
        if request.server_id != _SERVER:
            await _none(context, "server", request.server_id)
        found = sorted(self._connections())
        found = [number for number in found if number >= request.start_socket_id]
        page = found[: min(request.max_results or _PAGE, _PAGE)]
        refs = [pb.SocketRef(socket_id=number, name=self._connections()[number].peer()) for number in page]
        return pb.GetServerSocketsResponse(socket_ref=refs, end=len(page) == len(found))

    async def GetSocket(self, request: Any, context: Context) -> Any:
        number = request.socket_id
        connection = self._connections().get(number)
        if connection is not None:
            return pb.GetSocketResponse(socket=_connected(number, connection))
        listening = dict(self._listening()).get(number)
        if listening is None:
            await _none(context, "socket", number)
        ref = pb.SocketRef(socket_id=number, name=_name(listening.getsockname()))
        return pb.GetSocketResponse(socket=pb.Socket(ref=ref, local=_address(listening.getsockname())))

    async def GetChannel(self, request: Any, context: Context) -> Any:
        await _none(context, "channel", request.channel_id)

    async def GetSubchannel(self, request: Any, context: Context) -> Any:
        await _none(context, "subchannel", request.subchannel_id)

    def _connections(self) -> "dict[int, Connection]":
        return {connection.number: connection for connection in self._server.connections}

    def _listening(self) -> list[tuple[int, socket.socket]]:
        return list(enumerate(self._server.listening, _SERVER + 1))

    def _told(self) -> Any:
        started, succeeded, failed = self._server.calls_so_far()
        data = pb.ServerData(calls_started=started, calls_succeeded=succeeded, calls_failed=failed)
        listening = [
            pb.SocketRef(socket_id=number, name=_name(bound.getsockname())) for number, bound in self._listening()
        ]
        ref = pb.ServerRef(server_id=_SERVER, name="session gateway")
        return pb.Server(ref=ref, data=data, listen_socket=listening)


def _connected(number: int, connection: "Connection") -> Any:
    session, ours, theirs, cipher = connection.described()
    data = pb.SocketData(
        streams_started=session.opened,
        streams_succeeded=session.answered,
        streams_failed=session.resets,
        messages_sent=session.messages_sent,
        messages_received=session.messages_received,
        keep_alives_sent=connection.pings,
    )
    told = pb.Socket(ref=pb.SocketRef(socket_id=number, name=connection.peer()), data=data)
    told.local.CopyFrom(_address(ours))
    told.remote.CopyFrom(_address(theirs))
    if cipher is not None:
        told.security.tls.standard_name = cipher
    return told


def _address(name: Any) -> Any:
    if not isinstance(name, tuple):
        return pb.Address(other_address=pb.Address.OtherAddress(name=str(name)))
    packed = ipaddress.ip_address(name[0].partition("%")[0]).packed
    return pb.Address(tcpip_address=pb.Address.TcpIpAddress(ip_address=packed, port=name[1]))


def _name(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)


async def _none(context: Context, kind: str, number: int) -> NoReturn:
    await abort_absent(context, CHANNELZ_NOT_FOUND, f"there is no {kind} {number}", kind=kind, id=str(number))
