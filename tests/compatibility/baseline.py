"""A caller that knows only the protos of the last release, `proto/baseline.binpb`."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2

from tools.paths import ROOT

PACKAGE = "sessiongateway.v1"
DEADLINE = 20.0
"""Seconds after which a call has failed."""


class Baseline:
    """The messages and services of the last release, in a pool of their own: nothing of today's protos is in it."""

    def __init__(self) -> None:
        image = descriptor_pb2.FileDescriptorSet.FromString((ROOT / "proto" / "baseline.binpb").read_bytes())
        self._pool = descriptor_pool.DescriptorPool()
        for file in image.file:
            self._pool.Add(file)
        files = [file for file in image.file if file.package == PACKAGE]
        self.methods = {
            f"{service.name}.{method.name}": self._pool.FindMethodByName(f"{PACKAGE}.{service.name}.{method.name}")
            for file in files
            for service in file.service
            for method in service.method
        }

    def message(self, name: str, /, **fields: Any) -> Any:
        """Return a message of the package."""
        return self.kind(f"{PACKAGE}.{name}")(**fields)

    def kind(self, full_name: str) -> Any:
        """Return the class of a message."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(full_name))

    def number(self, value: str) -> int:
        """Return the number of an enum's value. Raises KeyError for one that this release does not have."""
        enums = ("ErrorCode", "RunState", "EndReason", "SessionStatus")
        found = [self._pool.FindEnumTypeByName(f"{PACKAGE}.{enum}").values_by_name.get(value) for enum in enums]
        numbers = [one.number for one in found if one]
        if not numbers:
            raise KeyError(value)
        return int(numbers[0])


class Refused(Exception):
    """An error as a client of the last release reads it."""

    def __init__(self, baseline: Baseline, error: grpc.RpcError) -> None:
        super().__init__(error.details())
        self.status = error.code()
        trailers: dict[str, Any] = {entry.key: entry.value for entry in error.trailing_metadata()}
        details = status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details
        self.detail = self._unpacked(details, baseline.kind(f"{PACKAGE}.ErrorDetail"))
        self.info = self._unpacked(details, error_details_pb2.ErrorInfo)

    @staticmethod
    def _unpacked(details: Iterable[Any], kind: Any) -> Any:
        (found,) = [kind.FromString(one.value) for one in details if one.type_url.endswith(kind.DESCRIPTOR.full_name)]
        return found


class OldClient:
    """Calls the services of the last release with its own messages; remembers which methods it has called."""

    def __init__(self, baseline: Baseline, channel: grpc.Channel) -> None:
        self.baseline = baseline
        self.called: set[str] = set()
        self._channel = channel

    def unary(self, name: str, **fields: Any) -> Any:
        """Call a method such as `SessionService.Run`. Raises Refused."""
        method, request = self._prepared(name, fields)
        service = method.containing_service.full_name
        call = self._channel.unary_unary(
            f"/{service}/{method.name}", type(request).SerializeToString, self._kind(method.output_type).FromString
        )
        try:
            return call(request, timeout=DEADLINE)
        except grpc.RpcError as error:
            raise Refused(self.baseline, error) from None

    def stream(self, name: str, **fields: Any) -> list[Any]:
        """Send one message on a stream of both sides, and return all that comes back."""
        method, request = self._prepared(name, fields)
        service = method.containing_service.full_name
        call = self._channel.stream_stream(
            f"/{service}/{method.name}", type(request).SerializeToString, self._kind(method.output_type).FromString
        )
        return list(call(iter([request]), timeout=DEADLINE))

    def run(self, app: str, function: str = "", session: str = "", **input: Any) -> Any:
        """Run a function. Raises Refused."""
        payload = json.dumps(input).encode()
        return self.unary("SessionService.Run", app=app, function=function, session=session, input_json=payload)

    def _prepared(self, name: str, fields: dict[str, Any]) -> tuple[Any, Any]:
        self.called.add(name)
        method = self.baseline.methods[name]
        return method, self._kind(method.input_type)(**fields)

    def _kind(self, descriptor: Any) -> Any:
        return self.baseline.kind(descriptor.full_name)


@contextmanager
def old_client(address: str) -> Iterator[OldClient]:
    """Connect to a gateway for as long as the context lasts."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield OldClient(Baseline(), channel)
