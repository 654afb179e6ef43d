# One RPC: its request as it comes in, its answer as it goes out.

cdef class Session


cdef class Stream:
    """One RPC. The server's own class of RPCs derives from this; a Session makes an object for each that is opened.

    After the stream is closed, by either side or with its connection, what would be sent is dropped.
    """

    cdef Session _session
    cdef public object connection
    # What the derived class keeps: here, where an object without them costs nothing.
    cdef public object task, timer, deadline, status, reader, writers
    cdef readonly int32_t id
    cdef readonly bytes path
    cdef readonly Route route
    cdef readonly list metadata
    cdef readonly double timeout
    cdef readonly str encoding
    cdef readonly bint ended
    cdef readonly bint closed
    cdef readonly bint finished
    cdef readonly uint32_t reset_code
    cdef readonly int failure
    cdef readonly str failure_text
    cdef size_t _header_bytes
    cdef bint _is_post, _is_grpc, _told, _discard
    cdef int _events
    # The request.
    cdef list _messages
    cdef Py_ssize_t _taken
    cdef uint8_t[5] _prefix
    cdef size_t _have, _size, _filled, _room, _weight
    cdef PyObject *_partial
    cdef size_t _held
    # The answer.
    cdef list _out
    cdef Py_ssize_t _head
    cdef size_t _offset
    cdef readonly size_t pending
    cdef list _trailers
    cdef bint _started, _deferred
    cdef public bint wants_drain

    def __cinit__(self):
        self.metadata = []
        self._messages = []
        self.timeout = -1.0
        self._partial = NULL
        # Until a session opens it.
        self.closed = True

    def __dealloc__(self):
        Py_XDECREF(self._partial)
        self._partial = NULL

    def take_events(self):
        """Return what happened since the last time, as a sum of EVENT_ numbers."""
        cdef int events = self._events
        self._events = 0
        return events

    @property
    def waiting(self):
        """How many messages have come and are not taken yet."""
        return PyList_GET_SIZE(self._messages) - self._taken

    def take(self):
        """Return the next message, as bytes, or as a tuple of one bytes when it is compressed; None when none is there.

        When the last one is taken, the peer is granted what they occupied.
        """
        cdef Py_ssize_t count = PyList_GET_SIZE(self._messages)
        if self._taken == count:
            return None
        message = self._messages[self._taken]
        self._messages[self._taken] = None
        self._taken += 1
        if self._taken == count:
            self._messages.clear()
            self._taken = 0
            self._grant()
            if self.route.request_streaming and self._weight > self._header_bytes:
                self._let_go(self._weight - self._header_bytes)
        return message

    def respond(self, bytes message not None):
        """Answer with one message and the status OK. Raises Http2Error when nghttp2 refuses."""
        if self.finished or self.closed:
            return
        self._push(message)
        self.finished = True
        if self._started:
            self._resume()
        else:
            self._start_plain()

    def send_headers(self, list metadata not None):
        """Send the header fields of the answer with these (name, value) of bytes added. Only before anything else."""
        if self.finished or self.closed or self._started:
            return
        self._start(_ANSWER_FIELDS + metadata, True)

    def send_message(self, bytes message not None):
        """Add one message to the answer. Raises Http2Error when nghttp2 refuses."""
        if self.finished or self.closed:
            return
        self._push(message)
        if self._started:
            self._resume()
        else:
            self._start_plain()

    def finish(self, list trailers):
        """End the answer with these (name, value) of bytes, `grpc-status` among them; None: the status OK.

        Messages that still wait are sent before. Raises Http2Error when nghttp2 refuses.
        """
        if self.finished or self.closed:
            return
        self.finished = True
        self._trailers = trailers
        if self._started:
            self._resume()
        elif self.pending:
            self._start_plain()
        else:
            self._start(_ANSWER_FIELDS + ([(b"grpc-status", b"0")] if trailers is None else trailers), False)

    def reject(self, bytes status not None):
        """Answer what is no gRPC with an HTTP status."""
        if self.finished or self.closed:
            return
        self.finished = True
        self._start([(b":status", status), (b"content-length", b"0")], False)

    def reset(self, uint32_t code):
        """End the stream at once with an HTTP/2 error code."""
        if self.closed:
            return
        self.finished = True
        _check(nghttp2_submit_rst_stream(self._session.live(), NGHTTP2_FLAG_NONE, self.id, code))

    cdef int fail(self, int status, str text) except -1:
        """Note that this RPC is to end with a status of the transport; the rest of its request is thrown away."""
        if self.failure == 0:
            self.failure = status
            self.failure_text = text
            self._discard = True
            self._drop_partial()
            # What is wrong with the header fields is told when they are complete.
            if self.route is not None:
                self._note(_FAIL)
        return 0

    cdef int _note(self, int event) except -1:
        if self._events == 0:
            self._session._changed.append(self)
        self._events |= event
        return 0

    cdef int _headers_complete(self) except -1:
        if not self._is_post or not self._is_grpc:
            self._discard = True
            self._note(_REJECT)
            return 0
        if self.failure:
            self._note(_FAIL)
            return 0
        if _all_streams > _MAX_STREAMS_TOGETHER and len(self._session._streams) > _FEW_STREAMS:
            self.fail(_RESOURCE_EXHAUSTED, "too many calls are open")
            self._note(_FAIL)
            return 0
        self._weight = self._header_bytes
        if not self._hold(self._header_bytes):
            self._weight = 0
            self._note(_FAIL)
            return 0
        route = self._session._routes.get(self.path)
        if route is None:
            route = self._session._find(self.path)
            if route is None:
                self.fail(_UNIMPLEMENTED, "Method not found!")
                self._note(_FAIL)
                return 0
        self.route = <Route?>route
        if self.route.request_streaming:
            self._told = True
            self._note(_OPEN)
        return 0

    cdef int _request_ended(self) except -1:
        self.ended = True
        if self.route is None or self.failure or self._discard:
            return 0
        if self._have:
            self.fail(_INTERNAL, "the request ends within a message")
        elif self.route.request_streaming:
            self._note(_END)
        elif PyList_GET_SIZE(self._messages) == 0:
            self.fail(_UNIMPLEMENTED, "the method takes one message, none came")
        else:
            self._told = True
            self._note(_OPEN)
        return 0

    cdef int _take_in(self, const uint8_t *data, size_t length) except -1:
        cdef size_t part
        cdef size_t all = length
        while length and not self._discard:
            if self._have < _PREFIX:
                part = min(_PREFIX - self._have, length)
                memcpy(&self._prefix[self._have], data, part)
                self._have += part
                data += part
                length -= part
                if self._have < _PREFIX or not self._message_begins(length):
                    continue
            part = min(self._size - self._filled, length)
            if self._filled + part > self._room:
                self._make_room(self._filled + part)
                if self._discard:
                    break
            memcpy(PyBytes_AS_STRING(<object>self._partial) + self._filled, data, part)
            self._filled += part
            data += part
            length -= part
            if self._filled == self._size:
                self._message_complete()
        self._held += all
        if self._discard or self._taken == PyList_GET_SIZE(self._messages) or not self.route.request_streaming:
            self._grant()
        return 0

    cdef bint _message_begins(self, size_t there) except -1:
        """Make room for the message whose prefix is complete. Returns whether more bytes of it are to come."""
        self._size = (
            (<size_t>self._prefix[1] << 24) | (<size_t>self._prefix[2] << 16)
            | (<size_t>self._prefix[3] << 8) | <size_t>self._prefix[4])
        self._filled = 0
        if self._prefix[0] > 1:
            self.fail(_INTERNAL, "a message has an unknown flag")
            return False
        if self._size > self._session._max_message:
            self.fail(
                _RESOURCE_EXHAUSTED,
                f"Received message larger than max ({self._size} vs. {self._session._max_message})")
            return False
        if self.route is not None and not self.route.request_streaming and PyList_GET_SIZE(self._messages):
            self.fail(_UNIMPLEMENTED, "the method takes one message, several came")
            return False
        if self._size == 0:
            self._messages.append((b"",) if self._prefix[0] else b"")
            self._have = 0
            self._after_message()
            return False
        self._make_room(self._size if self._size <= max(there, <size_t>_FIRST_PART) else <size_t>_FIRST_PART)
        return not self._discard

    cdef int _make_room(self, size_t least) except -1:
        cdef size_t room = min(max(least, 2 * self._room), self._size)
        if not self._hold(room - self._room):
            return 0
        if self._partial == NULL:
            message = PyBytes_FromStringAndSize(NULL, room)
            Py_INCREF(message)
            self._partial = <PyObject *>message
        else:
            _PyBytes_Resize(&self._partial, room)
        self._room = room
        return 0

    cdef bint _hold(self, size_t more) except -1:
        """Count bytes of this request among those in memory. Returns False when they are too many: it has failed."""
        global _all_held
        cdef Session session = self._session
        if session._holding + more > _MAX_HELD or (
                _all_held + more > _MAX_HELD_TOGETHER and session._holding + more > _LITTLE_HELD):
            self.fail(_RESOURCE_EXHAUSTED, "too many large messages are being received")
            return False
        session._holding += more
        _all_held += more
        return True

    cdef int _let_go(self, size_t less) except -1:
        global _all_held
        self._session._holding -= less
        _all_held -= less
        self._weight -= less
        return 0

    cdef int _message_complete(self) except -1:
        message = <bytes>self._partial
        self._messages.append((message,) if self._prefix[0] else message)
        del message
        # It stays in memory: until it is taken, or, of a unary call, for as long as that lasts.
        self._weight += self._room
        self._room = 0
        self._drop_partial()
        self._after_message()
        return 0

    cdef int _after_message(self) except -1:
        self._session.messages_received += 1
        if self.route is not None and self.route.request_streaming:
            self._note(_MESSAGE)
        return 0

    cdef int _drop_partial(self) except -1:
        self._weight += self._room
        self._let_go(self._room)
        self._room = 0
        self._have = 0
        Py_XDECREF(self._partial)
        self._partial = NULL
        return 0

    cdef int _grant(self) except -1:
        cdef size_t held = self._held
        self._held = 0
        if held and not self.closed and not self.ended:
            _check(nghttp2_session_consume_stream(self._session.live(), self.id, held))
        return 0

    cdef int _push(self, bytes message) except -1:
        if self._out is None:
            self._out = [message]
        else:
            self._out.append(message)
        global _all_pending
        cdef size_t size = _PREFIX + PyBytes_GET_SIZE(message)
        self.pending += size
        self._session._pending += size
        _all_pending += size
        return 0

    cdef int _start_plain(self) except -1:
        cdef nghttp2_data_provider provider
        provider.source.ptr = <void *>self
        provider.read_callback = _read_answer
        self._started = True
        _check(nghttp2_submit_response(self._session.live(), self.id, _ANSWER, 3, &provider))
        return 0

    cdef int _start(self, list fields, bint with_data) except -1:
        cdef nghttp2_data_provider provider
        cdef nghttp2_nv *values = _fields_of(fields)
        self._started = True
        try:
            provider.source.ptr = <void *>self
            provider.read_callback = _read_answer
            _check(nghttp2_submit_response(
                self._session.live(), self.id, values, len(fields), &provider if with_data else NULL))
        finally:
            free(values)
        return 0

    cdef int _resume(self) except -1:
        if self._deferred:
            self._deferred = False
            _check(nghttp2_session_resume_data(self._session.live(), self.id))
        return 0

    cdef int _write_trailers(self) except -1:
        cdef nghttp2_nv *values
        if self._trailers is None:
            _check(nghttp2_submit_trailer(self._session.live(), self.id, _OK, 1))
            return 0
        values = _fields_of(self._trailers)
        try:
            _check(nghttp2_submit_trailer(self._session.live(), self.id, values, len(self._trailers)))
        finally:
            free(values)
        return 0

    cdef int _write_out(self, size_t length) except -1:
        """Move `length` bytes of the messages that wait, each after its prefix, to the session's output."""
        global _all_pending
        cdef Session session = self._session
        cdef size_t size, part, done
        cdef uint8_t[5] prefix
        cdef bytes message
        while length:
            message = <bytes>PyList_GET_ITEM(self._out, self._head)
            size = PyBytes_GET_SIZE(message)
            if self._offset < _PREFIX:
                prefix[0] = 0
                prefix[1] = (size >> 24) & 0xFF
                prefix[2] = (size >> 16) & 0xFF
                prefix[3] = (size >> 8) & 0xFF
                prefix[4] = size & 0xFF
                part = min(_PREFIX - self._offset, length)
                session._append(&prefix[self._offset], part)
            else:
                done = self._offset - _PREFIX
                part = min(size - done, length)
                session._append(<const uint8_t *>PyBytes_AS_STRING(message) + done, part)
            self._offset += part
            length -= part
            self.pending -= part
            session._pending -= part
            _all_pending -= part
            if self._offset == _PREFIX + size:
                self._offset = 0
                session.messages_sent += 1
                self._out[self._head] = None
                self._head += 1
                if self._head == PyList_GET_SIZE(self._out):
                    self._out.clear()
                    self._head = 0
                elif self._head >= 64 and 2 * self._head > PyList_GET_SIZE(self._out):
                    del self._out[:self._head]
                    self._head = 0
        if self.wants_drain and self.pending <= _DRAINED:
            self.wants_drain = False
            self._note(_DRAIN)
        return 0

    cdef int _close(self, uint32_t code) except -1:
        global _all_pending, _all_streams
        cdef bint told = self._told
        self._drop_partial()
        self._let_go(self._weight)
        self._session._pending -= self.pending
        _all_pending -= self.pending
        _all_streams -= 1
        self.pending = 0
        self._out = None
        self._messages.clear()
        self._taken = 0
        self.closed = True
        self.reset_code = code
        self._told = False
        if told and (not self.finished or self.wants_drain):
            self._note(_CLOSE)
        return 0


cdef nghttp2_nv *_fields_of(list fields) except NULL:
    """Return the fields for nghttp2, which copies them: to be freed after the call that gets them."""
    cdef Py_ssize_t count = len(fields)
    cdef Py_ssize_t i
    cdef bytes name, value
    cdef nghttp2_nv *values = <nghttp2_nv *>malloc(max(count, 1) * sizeof(nghttp2_nv))
    if values == NULL:
        raise MemoryError
    try:
        for i in range(count):
            name, value = fields[i]
            values[i].name = <uint8_t *>PyBytes_AS_STRING(name)
            values[i].namelen = PyBytes_GET_SIZE(name)
            values[i].value = <uint8_t *>PyBytes_AS_STRING(value)
            values[i].valuelen = PyBytes_GET_SIZE(value)
            values[i].flags = NGHTTP2_NV_FLAG_NONE
    except:
        free(values)
        raise
    return values
