"""Inputs that are nearly right."""

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

_WIDTHS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (0, 40),
}

ODD_TEXTS = st.sampled_from(
    [
        "",
        "new",
        "a",
        "\0",
        "%",
        "@",
        "a@",
        "@latest",
        "../x",
        "ü",
        "\u202e",
        "🧨",
        "a" * 300,
        "-1",
        "1e400",
        "null",
        "{}",
    ]
)

JSONS = st.one_of(
    st.sampled_from([b"", b"{}", b"[]", b"null", b'{"a":', b'{"a":NaN}', b'{"a":1e999}', b"[" * 3000, b'{"a":' * 2000]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ).map(lambda value: str(value).replace("'", '"').encode("utf-8", "surrogatepass")),
)


@st.composite
def mutated(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Draw bytes that are valid, or were so before some of them were changed, lost or put in."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 5]))):
        where = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["change", "lose", "put in", "cut", "repeat"]))
        if kind == "change" and where < len(data):
            data[where] ^= 1 << draw(st.integers(0, 7))
        elif kind == "lose":
            del data[where : where + draw(st.integers(1, 8))]
        elif kind == "put in":
            data[where:where] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "repeat":
            data[where:where] = data[where : where + draw(st.integers(1, 64))]
        elif kind == "cut":
            del data[where:]
    return bytes(data)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, texts: st.SearchStrategy[str], depth: int = 3) -> Message:
    """Draw a message of this kind, with any of its fields."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if draw(st.integers(0, 2)) == 0:
            continue
        if field.message_type is not None:
            _fill_message(draw, message, field, texts, depth)
        elif field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(_scalar(field, texts), max_size=4)))
        else:
            setattr(message, field.name, draw(_scalar(field, texts)))
    return message


def _fill_message(
    draw: st.DrawFn, message: Message, field: FieldDescriptor, texts: st.SearchStrategy[str], depth: int
) -> None:
    inside = field.message_type
    assert inside is not None
    # A map's values are set through its entries, which come in as bytes: protobuf merges them.
    if depth == 0 or (inside.GetOptions().map_entry and not draw(st.booleans())):
        return
    inner = draw(messages(inside, texts, depth - 1)).SerializeToString()
    head = bytes([field.number << 3 | 2, len(inner)]) if len(inner) < 128 and field.number < 16 else b""
    if head:
        message.MergeFromString(head + inner)


def _scalar(field: FieldDescriptor, texts: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return st.floats(width=32)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return JSONS
        return texts | st.text(max_size=12).filter(_encodable)
    return st.sampled_from([0, 1, -1 if _WIDTHS[kind][0] < 0 else 2]) | st.integers(*_WIDTHS[kind])


def _encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
