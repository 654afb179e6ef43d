"""The tools that people have at hand. They know of the services only what reflection tells them."""

import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import Default
from google.rpc import error_details_pb2  # noqa: F401 - loaded, so that details can be decoded by name

from sessiongateway.v1 import errors_pb2  # noqa: F401 - likewise

ROOT = Path(__file__).parents[2]
SERVICE = "sessiongateway.v1.SessionService"
DEADLINE = 30.0


@dataclass(frozen=True)
class Shown:
    """What a tool wrote: the messages of an answer, or the error with its details by their type names."""

    code: int
    messages: Sequence[Any] = ()
    message: str = ""
    details: dict[str, Any] | None = None


class Tool(ABC):
    """One tool and the gateway that it talks to."""

    def __init__(self, binary: Path, address: str) -> None:
        self._binary = binary
        self._address = address

    def run(self, *arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:
        """Run the tool to its end."""
        return subprocess.run(
            [str(self._binary), *arguments],
            input=input,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        )

    @abstractmethod
    def services(self) -> list[str]:
        """Return the names of the services."""

    @abstractmethod
    def methods(self) -> list[str]:
        """Return the full names of the methods of SessionService."""

    @abstractmethod
    def call(self, method: str, *requests: Any, service: str = SERVICE) -> Shown:
        """Call a method; a streaming one with several requests."""


class Grpcurl(Tool):
    """grpcurl, which shows error details as JSON if reflection has their types."""

    def services(self) -> list[str]:
        return self.run("-plaintext", self._address, "list").stdout.split()

    def methods(self) -> list[str]:
        return self.run("-plaintext", self._address, "list", SERVICE).stdout.split()

    def describe(self, symbol: str) -> str:
        """Return how the tool writes a service or a message."""
        return self.run("-plaintext", self._address, "describe", symbol).stdout

    def call(self, method: str, *requests: Any, service: str = SERVICE) -> Shown:
        options = ["-plaintext", "-emit-defaults", "-format-error", "-d", "@"]
        done = self.run(*options, self._address, f"{service}/{method}", input=_documents(requests))
        if done.returncode == 0:
            return Shown(0, parsed(done.stdout))
        error = json.loads(done.stderr)
        details = {detail.pop("@type").rpartition("/")[2]: detail for detail in error["details"]}
        return Shown(error["code"], parsed(done.stdout), error["message"], details)


class BufCurl(Tool):
    """`buf curl`, which shows error details by their type with their bytes."""

    _CODES = ("", "", "unknown", "invalid_argument", "", "not_found", "", "", "", "failed_precondition")

    def services(self) -> list[str]:
        return self._curl("--list-services", f"http://{self._address}").stdout.split()

    def methods(self) -> list[str]:
        listed = self._curl("--list-methods", f"http://{self._address}").stdout.split()
        return [name.replace("/", ".") for name in listed if name.startswith(f"{SERVICE}/")]

    def call(self, method: str, *requests: Any, service: str = SERVICE) -> Shown:
        done = self.send(method, _documents(requests), service)
        if done.returncode == 0:
            return Shown(0, parsed(done.stdout))
        error = json.loads(done.stderr)
        details = {detail["type"]: _decoded(detail["type"], detail["value"]) for detail in error["details"]}
        return Shown(self._CODES.index(error["code"]), parsed(done.stdout), error["message"], details)

    def send(self, method: str, data: str, service: str = SERVICE) -> subprocess.CompletedProcess[str]:
        """Call a method with JSON text as it is."""
        url = f"http://{self._address}/{service}/{method}"
        return self._curl("--emit-defaults", "--data", "@-", url, input=data)

    def _curl(self, *arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:
        return self.run("curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments, input=input)


def find_grpcurl() -> Path:
    """Return grpcurl. Skips the test where there is none, but in CI, which has to install it, fails it."""
    built = ROOT / "build" / "bin" / "grpcurl"
    found = shutil.which("grpcurl") or (str(built) if built.exists() else None)
    if found is not None:
        return Path(found)
    reason = "grpcurl is neither on the PATH nor in build/bin: go install github.com/fullstorydev/grpcurl/cmd/grpcurl"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def find_buf() -> Path:
    """Return the buf of this environment."""
    return Path(sys.executable).with_name("buf")


def parsed(text: str) -> list[Any]:
    """Return the JSON documents that stand one after another in a text."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        document, position = decoder.raw_decode(text, position)
        found.append(document)
    return found


def _documents(requests: Sequence[Any]) -> str:
    return "\n".join(json.dumps(request) for request in requests or [{}])


def _decoded(name: str, value: str) -> Any:
    message = message_factory.GetMessageClass(Default().FindMessageTypeByName(name))()
    message.ParseFromString(b64decode(value + "=" * (-len(value) % 4)))
    return json_format.MessageToDict(message)
