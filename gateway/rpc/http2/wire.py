"""How statuses, metadata and compressed messages look in HTTP/2 (gRPC over HTTP/2, its protocol document)."""

import re
import zlib
from base64 import b64encode
from collections.abc import Iterable

import grpc

_BINARY = "-bin"
_NAME = re.compile(r"[0-9a-z_.\-]+")
_VALUE = re.compile(rb"[\x20-\x7e]*")
_TO_ESCAPE = re.compile(rb"[^\x20-\x24\x26-\x7e]")

_GZIP = zlib.MAX_WBITS | 16
_WINDOWS = {"gzip": _GZIP, "deflate": zlib.MAX_WBITS}

Fields = list[tuple[bytes, bytes]]


class BadMessage(Exception):
    """A message that cannot be decompressed; `code` and the text are the status of its RPC."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def status_fields(code: int, details: str, metadata: Iterable[tuple[str, str | bytes]] = ()) -> Fields:
    """Return the trailers of a status. Raises ValueError when metadata cannot be sent."""
    fields = [(b"grpc-status", b"%d" % code)]
    if details:
        fields.append((b"grpc-message", percent_encoded(details)))
    return fields + metadata_fields(metadata) if metadata else fields


def percent_encoded(text: str) -> bytes:
    """Return a status message as it is sent: what is not printable ASCII, and `%`, as %XX of its UTF-8."""
    return _TO_ESCAPE.sub(lambda found: b"%%%02X" % found[0][0], text.encode("utf-8", "replace"))


def metadata_fields(metadata: Iterable[tuple[str, str | bytes]]) -> Fields:
    """Return metadata as header fields. Raises ValueError for a key or value that gRPC does not allow."""
    fields = []
    for key, value in metadata:
        if not _NAME.fullmatch(key):
            raise ValueError(f"{key!r} is no key of metadata")
        raw = value.encode() if isinstance(value, str) else value
        if key.endswith(_BINARY):
            raw = b64encode(raw).rstrip(b"=")
        elif not _VALUE.fullmatch(raw):
            raise ValueError(f"the value of {key} is not printable ASCII; only keys that end in -bin may have such")
        fields.append((key.encode(), raw))
    return fields


def decompressed(data: bytes, encoding: str | None, limit: int) -> bytes:
    """Return a compressed message, of `limit` bytes at the most. Raises BadMessage."""
    if encoding is None or encoding == "identity":
        raise BadMessage(grpc.StatusCode.INTERNAL, "a message is compressed, and grpc-encoding does not say how")
    window = _WINDOWS.get(encoding)
    if window is None:
        raise BadMessage(grpc.StatusCode.UNIMPLEMENTED, f"grpc-encoding {encoding[:32]} is not supported")
    stream = zlib.decompressobj(window)
    try:
        message = stream.decompress(data, limit + 1)
    except zlib.error:
        raise BadMessage(grpc.StatusCode.INTERNAL, f"a message is not what {encoding} gives") from None
    if len(message) > limit:
        text = f"Received message larger than max (more than {limit} bytes when decompressed)"
        raise BadMessage(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
    if not stream.eof or stream.unused_data:
        raise BadMessage(grpc.StatusCode.INTERNAL, f"a message is not what {encoding} gives")
    return message
