# One connection, and the callbacks through which nghttp2 tells what comes in and asks for what goes out.

cdef class Session:
    """One connection. Not for several threads.

    `stream_type` is the class of RPCs, `routes` maps paths that are known to their Route and `find` looks up others
    (None: there is no such method). `max_message` is the limit of one request message, `max_streams` that of RPCs at a
    time.
    """

    cdef nghttp2_session *_raw
    cdef type _stream_type
    cdef dict _routes
    cdef object _find
    cdef object _connection
    cdef size_t _max_message
    cdef dict _streams
    cdef list _changed
    cdef object _error
    cdef size_t _holding
    cdef size_t _pending
    cdef size_t _limit
    cdef PyObject *_buffer
    cdef size_t _used, _capacity
    cdef readonly uint64_t resets
    cdef bint _ping_after_notice
    cdef readonly bint greeted
    cdef readonly uint64_t pongs
    # Frames that cost an answer, or a look, and say nothing: since something was sent that the peer had asked for.
    cdef readonly uint64_t chatter
    cdef readonly uint64_t opened, answered, messages_received, messages_sent

    def __cinit__(self, type stream_type not None, dict routes not None, find, connection, size_t max_message,
                  uint32_t max_streams):
        cdef nghttp2_option *option = NULL
        if not issubclass(stream_type, Stream):
            raise TypeError("stream_type must derive from Stream")
        self._stream_type = stream_type
        self._routes = routes
        self._find = find
        self._connection = connection
        self._max_message = max_message
        self._streams = {}
        self._changed = []
        _check(nghttp2_option_new(&option))
        # Windows open as handlers read, not as bytes arrive.
        nghttp2_option_set_no_auto_window_update(option, 1)
        # Closed streams would be kept for the sake of priorities, which gRPC does not use.
        nghttp2_option_set_no_closed_streams(option, 1)
        # gRPC's clients send values with spaces around them; whoever reads them says what is wrong.
        nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1)
        # Callers cancel in bursts. The server counts those itself, whatever release this is.
        limit_resets(option, _LIBRARY_RESETS, _LIBRARY_RESETS)
        code = nghttp2_session_server_new2(&self._raw, _CALLBACKS, <void *>self, option)
        nghttp2_option_del(option)
        _check(code)
        self._introduce(max_streams)

    def __dealloc__(self):
        nghttp2_session_del(self._raw)
        self._raw = NULL
        Py_XDECREF(self._buffer)
        self._buffer = NULL

    cdef int _introduce(self, uint32_t max_streams) except -1:
        cdef nghttp2_settings_entry[4] settings
        settings[0].settings_id = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        settings[0].value = max_streams
        settings[1].settings_id = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        settings[1].value = _STREAM_WINDOW
        settings[2].settings_id = NGHTTP2_SETTINGS_MAX_FRAME_SIZE
        settings[2].value = _MAX_FRAME_RECEIVED
        settings[3].settings_id = NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
        settings[3].value = _MAX_HEADER_LIST
        _check(nghttp2_submit_settings(self._raw, NGHTTP2_FLAG_NONE, settings, 4))
        _check(nghttp2_session_set_local_window_size(self._raw, NGHTTP2_FLAG_NONE, 0, _CONNECTION_WINDOW))
        return 0

    cdef nghttp2_session *live(self) except NULL:
        if self._raw == NULL:
            raise Http2Error("the connection is closed")
        return self._raw

    def receive(self, bytes data not None):
        """Take in bytes of the peer. Returns the streams to which something happened (Stream.take_events).

        Raises Http2Error when the connection is to be closed at once.
        """
        code = nghttp2_session_mem_recv(
            self.live(), <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        self._raise_error()
        _check(code)
        return self.take_changed()

    def take_changed(self):
        """Return the streams to which something happened since the last time."""
        if PyList_GET_SIZE(self._changed) == 0:
            return ()
        changed = self._changed
        self._changed = []
        return changed

    def output(self, size_t limit):
        """Return bytes for the peer, some `limit` of them at the most and a frame more; empty when there are none.

        Raises Http2Error when the connection is to be closed at once.
        """
        cdef size_t room = min(limit, self._pending)
        # Written where it stays: what goes out is a bytes object from the start. A frame more, and all their heads.
        room += min(room, <size_t>_MAX_FRAME_SENT) + room // 256 + _HEADS
        self._limit = limit
        self._used = 0
        self._grow(room)
        code = nghttp2_session_send(self.live())
        self._raise_error()
        _check(code)
        if self._used == 0:
            return b""
        if self._used <= _HEADS:
            # Cheaper than to give the rest of the buffer back, which is kept.
            return PyBytes_FromStringAndSize(PyBytes_AS_STRING(<object>self._buffer), self._used)
        _PyBytes_Resize(&self._buffer, self._used)
        data = <bytes>self._buffer
        Py_XDECREF(self._buffer)
        self._buffer = NULL
        self._capacity = 0
        return data

    cdef int _grow(self, size_t capacity) except -1:
        if self._buffer == NULL:
            data = PyBytes_FromStringAndSize(NULL, capacity)
            Py_INCREF(data)
            self._buffer = <PyObject *>data
        elif capacity > self._capacity:
            self._capacity = 0
            _PyBytes_Resize(&self._buffer, capacity)
        else:
            return 0
        self._capacity = capacity
        return 0

    @property
    def wants_write(self):
        """Whether `output` would return something."""
        return self._raw != NULL and nghttp2_session_want_write(self._raw) != 0

    @property
    def over(self):
        """Whether nothing more will be said in either direction: time to close the connection."""
        return self._raw == NULL or (
            nghttp2_session_want_read(self._raw) == 0 and nghttp2_session_want_write(self._raw) == 0)

    @property
    def open_streams(self):
        """How many streams are open."""
        return len(self._streams)

    @property
    def pending(self):
        """Bytes of answers that wait for the peer, all streams together."""
        return self._pending

    @property
    def holding(self):
        """Bytes of requests of the peer that are in memory, with their metadata."""
        return self._holding

    @property
    def overfull(self):
        """Whether so much waits for the peer, or for all of them together, that its next calls should wait, too."""
        return self._pending > _MAX_PENDING or (
            _all_pending > _MAX_PENDING_TOGETHER and self._pending > _LITTLE_PENDING)

    @property
    def streams(self):
        """A list of the streams that are open."""
        return list(self._streams.values())

    def forgive(self, uint64_t count):
        """Forget so much of the chatter."""
        self.chatter -= min(count, self.chatter)

    def ping(self):
        """Ask for a sign of life: `pongs` rises with the answer."""
        _check(nghttp2_submit_ping(self.live(), NGHTTP2_FLAG_NONE, NULL))

    def announce_shutdown(self):
        """Say that no new streams should be opened. Those on their way are still taken until `goaway`, which is due
        when the peer has answered the ping that follows: `pongs` tells (RFC 9113, 6.8).
        """
        _check(nghttp2_submit_shutdown_notice(self.live()))
        # By itself nghttp2 would send the ping first.
        self._ping_after_notice = True

    def goaway(self):
        """Say that streams opened from now on are not looked at. The session is over when those before are done."""
        cdef int32_t last = nghttp2_session_get_last_proc_stream_id(self.live())
        _check(nghttp2_submit_goaway(self.live(), NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0))

    def terminate(self, uint32_t code, bytes why=b""):
        """Say goodbye with an HTTP/2 error code, and a word for whoever debugs the peer, and read no more."""
        cdef int32_t last = nghttp2_session_get_last_proc_stream_id(self.live())
        if why:
            _check(nghttp2_submit_goaway(
                self._raw, NGHTTP2_FLAG_NONE, last, code, <const uint8_t *>PyBytes_AS_STRING(why),
                PyBytes_GET_SIZE(why)))
        _check(nghttp2_session_terminate_session2(self._raw, last, code))

    def close(self):
        """Forget the connection: all streams are closed. Returns those that must be told of it. Twice is fine."""
        if self._raw != NULL:
            streams = list(self._streams.values())
            self._streams.clear()
            for stream in streams:
                if (<Stream>stream).finished:
                    self.answered += 1
                else:
                    self.resets += 1
                (<Stream>stream)._close(NGHTTP2_NO_ERROR)
            nghttp2_session_del(self._raw)
            self._raw = NULL
            self._connection = None
            self._find = None
        return self.take_changed()

    cdef int _raise_error(self) except -1:
        if self._error is not None:
            error = self._error
            self._error = None
            raise error
        return 0

    cdef int _append(self, const uint8_t *data, size_t length) except -1:
        if self._used + length > self._capacity:
            self._grow(max(self._used + length, 2 * self._capacity))
        memcpy(PyBytes_AS_STRING(<object>self._buffer) + self._used, data, length)
        self._used += length
        return 0

    cdef Stream _open(self, int32_t id):
        stream = <Stream>self._stream_type()
        stream._session = self
        stream.connection = self._connection
        stream.id = id
        stream.closed = False
        self._streams[id] = stream
        self.opened += 1
        global _all_streams
        _all_streams += 1
        _check(nghttp2_session_set_stream_user_data(self._raw, id, <void *>stream))
        return stream

    cdef int _failed(self, error) noexcept:
        if self._error is None:
            self._error = error
        return NGHTTP2_ERR_CALLBACK_FAILURE


# In the callbacks `owner` is the Session, which outlives its nghttp2_session, and a stream's data its Stream, which the
# Session keeps until the stream is closed.

cdef int _on_begin_headers(nghttp2_session *raw, const nghttp2_frame *frame, void *owner) noexcept:
    session = <Session>owner
    try:
        if frame.hd.type == NGHTTP2_HEADERS and frame.headers.cat == NGHTTP2_HCAT_REQUEST:
            session._open(frame.hd.stream_id)
        return 0
    except BaseException as error:
        return session._failed(error)


cdef int _on_header(
        nghttp2_session *raw, const nghttp2_frame *frame, const uint8_t *name, size_t namelen, const uint8_t *value,
        size_t valuelen, uint8_t flags, void *owner) noexcept:
    cdef void *data
    session = <Session>owner
    try:
        if frame.hd.type != NGHTTP2_HEADERS or frame.headers.cat != NGHTTP2_HCAT_REQUEST:
            return 0
        data = nghttp2_session_get_stream_user_data(raw, frame.hd.stream_id)
        if data != NULL:
            _take_header(<Stream>data, name, namelen, value, valuelen)
        return 0
    except BaseException as error:
        return session._failed(error)


cdef int _on_frame(nghttp2_session *raw, const nghttp2_frame *frame, void *owner) noexcept:
    cdef void *data
    session = <Session>owner
    try:
        if frame.hd.type != NGHTTP2_HEADERS and frame.hd.type != NGHTTP2_DATA:
            session.greeted = True
            if frame.hd.type == NGHTTP2_PING or frame.hd.type == NGHTTP2_SETTINGS:
                if not frame.hd.flags & NGHTTP2_FLAG_ACK:
                    session.chatter += 1
                elif frame.hd.type == NGHTTP2_PING:
                    session.pongs += 1
            elif frame.hd.type == NGHTTP2_PRIORITY:
                session.chatter += 1
            return 0
        if frame.hd.length == 0 and not frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
            session.chatter += 1
        data = nghttp2_session_get_stream_user_data(raw, frame.hd.stream_id)
        if data == NULL:
            return 0
        stream = <Stream>data
        if frame.hd.type == NGHTTP2_HEADERS and frame.headers.cat == NGHTTP2_HCAT_REQUEST:
            stream._headers_complete()
        if frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
            stream._request_ended()
        return 0
    except BaseException as error:
        return session._failed(error)


cdef int _on_data(
        nghttp2_session *raw, uint8_t flags, int32_t id, const uint8_t *chunk, size_t length, void *owner) noexcept:
    cdef void *data
    session = <Session>owner
    try:
        # One slow stream must not hold up the others: only its own window waits for its handler.
        _check(nghttp2_session_consume_connection(raw, length))
        data = nghttp2_session_get_stream_user_data(raw, id)
        if data != NULL:
            (<Stream>data)._take_in(chunk, length)
        return 0
    except BaseException as error:
        return session._failed(error)


cdef int _on_close(nghttp2_session *raw, int32_t id, uint32_t code, void *owner) noexcept:
    session = <Session>owner
    try:
        stream = session._streams.pop(id, None)
        if stream is not None:
            if (<Stream>stream).finished:
                session.answered += 1
            else:
                session.resets += 1
            (<Stream>stream)._close(code)
        return 0
    except BaseException as error:
        return session._failed(error)


cdef int _on_sent(nghttp2_session *raw, const nghttp2_frame *frame, void *owner) noexcept:
    cdef void *data
    session = <Session>owner
    try:
        if frame.hd.type == NGHTTP2_DATA or frame.hd.type == NGHTTP2_HEADERS:
            # gRPC's clients measure with a ping what they were sent.
            session.chatter = 0
        elif frame.hd.type == NGHTTP2_GOAWAY and session._ping_after_notice:
            session._ping_after_notice = False
            _check(nghttp2_submit_ping(raw, NGHTTP2_FLAG_NONE, NULL))
        if frame.hd.type == NGHTTP2_HEADERS and frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
            data = nghttp2_session_get_stream_user_data(raw, frame.hd.stream_id)
            if data != NULL and not (<Stream>data).ended:
                # The rest of the request is of no use (RFC 9113, 8.1).
                _check(nghttp2_submit_rst_stream(raw, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR))
        return 0
    except BaseException as error:
        return session._failed(error)


cdef ssize_t _on_send(nghttp2_session *raw, const uint8_t *data, size_t length, int flags, void *owner) noexcept:
    session = <Session>owner
    try:
        if session._used >= session._limit:
            return NGHTTP2_ERR_WOULDBLOCK
        session._append(data, length)
        return <ssize_t>length
    except BaseException as error:
        return session._failed(error)


cdef int _on_send_data(
        nghttp2_session *raw, nghttp2_frame *frame, const uint8_t *head, size_t length, nghttp2_data_source *source,
        void *owner) noexcept:
    session = <Session>owner
    try:
        if session._used >= session._limit:
            return NGHTTP2_ERR_WOULDBLOCK
        session._append(head, 9)
        (<Stream>source.ptr)._write_out(length)
        return 0
    except BaseException as error:
        return session._failed(error)


cdef ssize_t _read_answer(
        nghttp2_session *raw, int32_t id, uint8_t *buffer, size_t length, uint32_t *flags,
        nghttp2_data_source *source, void *owner) noexcept:
    session = <Session>owner
    try:
        stream = <Stream>source.ptr
        if stream.pending == 0 and not stream.finished:
            stream._deferred = True
            return NGHTTP2_ERR_DEFERRED
        flags[0] |= NGHTTP2_DATA_FLAG_NO_COPY
        if stream.pending <= length:
            length = stream.pending
            if stream.finished:
                flags[0] |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM
                stream._write_trailers()
        return <ssize_t>length
    except BaseException as error:
        return session._failed(error)


cdef ssize_t _frame_length(
        nghttp2_session *raw, uint8_t type, int32_t id, int32_t connection_window, int32_t stream_window,
        uint32_t peer_limit, void *owner) noexcept:
    return min(<ssize_t>connection_window, <ssize_t>stream_window, <ssize_t>peer_limit, <ssize_t>_MAX_FRAME_SENT)


cdef nghttp2_session_callbacks *_callbacks() except NULL:
    cdef nghttp2_session_callbacks *callbacks = NULL
    _check(nghttp2_session_callbacks_new(&callbacks))
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, _on_begin_headers)
    nghttp2_session_callbacks_set_on_header_callback(callbacks, _on_header)
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, _on_frame)
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, _on_data)
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, _on_close)
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, _on_sent)
    nghttp2_session_callbacks_set_send_callback(callbacks, _on_send)
    nghttp2_session_callbacks_set_send_data_callback(callbacks, _on_send_data)
    nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, _frame_length)
    return callbacks


# For all sessions of the process, which copy it.
cdef nghttp2_session_callbacks *_CALLBACKS = _callbacks()
