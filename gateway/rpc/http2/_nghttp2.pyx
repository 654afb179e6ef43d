# cython: language_level=3, binding=False, embedsignature=False
"""One HTTP/2 connection of a gRPC server, as an object that is fed bytes and asked for bytes: it does no I/O.

A Session owns an `nghttp2_session` and one Stream for each RPC that is open. What happened to streams is collected
while bytes are taken in (`receive`) or handed out (`output`), and told when that is over: nghttp2 must not be entered
again from its own callbacks. An exception inside a callback is kept, ends the callback with an error, and is raised
again by the method that was called from Python.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, _PyBytes_Resize)
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from gateway.rpc.http2._nghttp2_api cimport *

import binascii

EVENT_OPEN = 1
EVENT_MESSAGE = 2
EVENT_END = 4
EVENT_CLOSE = 8
EVENT_DRAIN = 16
EVENT_FAIL = 32
EVENT_REJECT = 64

cdef enum:
    _OPEN = 1
    _MESSAGE = 2
    _END = 4
    _CLOSE = 8
    _DRAIN = 16
    _FAIL = 32
    _REJECT = 64

cdef enum:
    _UNIMPLEMENTED = 12
    _INTERNAL = 13
    _RESOURCE_EXHAUSTED = 8
    _PREFIX = 5
    # A header list larger than this is refused, as by gRPC's other servers. An entry counts 32 bytes more (RFC 9113).
    _MAX_HEADER_LIST = 16384
    _HEADER_OVERHEAD = 32
    # Bytes of a stream that may be under way, or waiting for its handler to read them.
    _STREAM_WINDOW = 1 << 20
    _CONNECTION_WINDOW = 16 << 20
    _MAX_FRAME_RECEIVED = 1 << 18
    _MAX_FRAME_SENT = 1 << 16
    # What is allocated for a message of which only the length has come.
    _FIRST_PART = 1 << 16
    # Requests that are in memory, with their metadata: of one connection; of all together, beyond which only those of
    # connections that hold little are taken.
    _MAX_HELD = 512 << 20
    _MAX_HELD_TOGETHER = 1 << 30
    _LITTLE_HELD = 1 << 20
    # Answers that wait for their peers, likewise.
    _MAX_PENDING = 64 << 20
    _MAX_PENDING_TOGETHER = 512 << 20
    _LITTLE_PENDING = 1 << 20
    # RPCs that are open on all connections together, and likewise.
    _MAX_STREAMS_TOGETHER = 50000
    _FEW_STREAMS = 100
    # Below this, a handler that waits for its writes to leave goes on.
    _DRAINED = 32 << 10
    # Streams that a peer may reset in a burst, and per second, as far as nghttp2 is concerned.
    _LIBRARY_RESETS = 1 << 20
    # What an output buffer has room for beside messages.
    _HEADS = 2048


class Http2Error(Exception):
    """The connection cannot go on: what the peer sent is no HTTP/2, or nghttp2 refused a request of ours."""


def nghttp2_version_text():
    """Return the version of the library that is loaded, such as `1.52.0`."""
    return nghttp2_version(0).version_str.decode()


cdef int _check(ssize_t code) except -1:
    if code < 0:
        if code == NGHTTP2_ERR_NOMEM:
            raise MemoryError
        raise Http2Error(nghttp2_strerror(<int>code).decode())
    return 0


# Of all sessions of the process: bytes of requests, bytes of answers, streams.
cdef size_t _all_held = 0
cdef size_t _all_pending = 0
cdef size_t _all_streams = 0


def totals():
    """Return what all sessions of the process hold: bytes of requests, bytes of answers that wait, open streams."""
    return _all_held, _all_pending, _all_streams


cdef class Route:
    """Where RPCs of one path go. `request_streaming`: whether the handler gets messages as they come."""

    cdef readonly bint request_streaming

    def __init__(self, bint request_streaming):
        self.request_streaming = request_streaming


include "_headers.pxi"
include "_stream.pxi"
include "_session.pxi"
