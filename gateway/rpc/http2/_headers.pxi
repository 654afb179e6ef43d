# Header fields: those of every answer, made once, and reading those of requests.

cdef nghttp2_nv _constant(const char *name, const char *value) noexcept:
    cdef nghttp2_nv field
    cdef size_t length = 0
    field.name = <uint8_t *>name
    while name[length]:
        length += 1
    field.namelen = length
    length = 0
    field.value = <uint8_t *>value
    while value[length]:
        length += 1
    field.valuelen = length
    field.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
    return field


cdef nghttp2_nv[3] _ANSWER
_ANSWER[0] = _constant(":status", "200")
_ANSWER[1] = _constant("content-type", "application/grpc")
_ANSWER[2] = _constant("grpc-accept-encoding", "identity, deflate, gzip")

cdef nghttp2_nv[1] _OK
_OK[0] = _constant("grpc-status", "0")

cdef list _ANSWER_FIELDS = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
]


cdef inline bint _is(const uint8_t *text, size_t length, const char *word, size_t word_length) noexcept:
    return length == word_length and memcmp(text, word, length) == 0


cdef bint _is_grpc(const uint8_t *value, size_t length) noexcept:
    return length >= 16 and memcmp(value, <const char *>"application/grpc", 16) == 0 and (
        length == 16 or value[16] == c"+" or value[16] == c";")


cdef double _seconds(const uint8_t *value, size_t length) noexcept:
    """Return the seconds of a `grpc-timeout`, or -2 when it is none."""
    cdef uint64_t number = 0
    cdef size_t i
    if length < 2 or length > 9:
        return -2.0
    for i in range(length - 1):
        if value[i] < c"0" or value[i] > c"9":
            return -2.0
        number = number * 10 + (value[i] - c"0")
    if value[length - 1] == c"H":
        return number * 3600.0
    if value[length - 1] == c"M":
        return number * 60.0
    if value[length - 1] == c"S":
        return <double>number
    if value[length - 1] == c"m":
        return number / 1e3
    if value[length - 1] == c"u":
        return number / 1e6
    if value[length - 1] == c"n":
        return number / 1e9
    return -2.0


cdef object _text(const uint8_t *value, size_t length):
    data = value[:length]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


cdef int _add_binary(Stream stream, str name, bytes value) except -1:
    for part in value.split(b","):
        part = part.strip()
        try:
            decoded = binascii.a2b_base64(part.rstrip(b"=") + b"=" * (-len(part.rstrip(b"=")) % 4), strict_mode=True)
        except binascii.Error:
            stream.fail(_INTERNAL, f"the binary metadata {name} is not base64")
            return 0
        stream.metadata.append((name, decoded))
    return 0


cdef int _take_header(Stream stream, const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen) except -1:
    stream._header_bytes += namelen + valuelen + _HEADER_OVERHEAD
    if stream._header_bytes > _MAX_HEADER_LIST:
        stream.fail(_RESOURCE_EXHAUSTED, f"the metadata are larger than {_MAX_HEADER_LIST} bytes")
        return 0
    if name[0] == c":":
        if _is(name, namelen, ":path", 5):
            stream.path = value[:valuelen]
        elif _is(name, namelen, ":method", 7):
            stream._is_post = _is(value, valuelen, "POST", 4)
        return 0
    if _is(name, namelen, "te", 2):
        return 0
    if _is(name, namelen, "content-type", 12):
        stream._is_grpc = _is_grpc(value, valuelen)
        return 0
    if namelen > 5 and memcmp(name, <const char *>"grpc-", 5) == 0:
        if _is(name, namelen, "grpc-timeout", 12):
            stream.timeout = _seconds(value, valuelen)
            if stream.timeout < -1.0:
                stream.fail(_INTERNAL, "grpc-timeout is malformed")
            return 0
        if _is(name, namelen, "grpc-encoding", 13):
            stream.encoding = _text(value, valuelen)
            return 0
        if _is(name, namelen, "grpc-accept-encoding", 20):
            return 0
    key = _text(name, namelen)
    if namelen > 4 and memcmp(name + namelen - 4, <const char *>"-bin", 4) == 0:
        _add_binary(stream, key, value[:valuelen])
    else:
        stream.metadata.append((key, _text(value, valuelen)))
    return 0
