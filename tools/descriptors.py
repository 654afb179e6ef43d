"""The protos with their comments, as the compiler sees them."""

import subprocess
from dataclasses import dataclass
from functools import cache

from google.protobuf.descriptor_pb2 import EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

from tools.paths import BUF, ROOT

# Numbers of the fields that lead to an enum and to its values: descriptor.proto, SourceCodeInfo.Location.path.
_ENUMS = FileDescriptorProto.ENUM_TYPE_FIELD_NUMBER
_VALUES = EnumDescriptorProto.VALUE_FIELD_NUMBER


@dataclass(frozen=True)
class EnumValue:
    """A value of an enum: its full name, its number, and its comment, without markers and common indent."""

    name: str
    number: int
    comment: str


@cache
def proto_files() -> FileDescriptorSet:
    """Compile the protos; each file carries its source info.

    Raises:
        subprocess.CalledProcessError: they do not compile.
    """
    image = subprocess.run([BUF, "build", "-o", "-"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return FileDescriptorSet.FromString(image)


def enum_values(file_name: str, enum_name: str) -> list[EnumValue]:
    """Return the values of an enum at the top level of a file, in the order of the file.

    Raises:
        LookupError: there is no such file, or no such enum in it.
    """
    for file in proto_files().file:
        if file.name == file_name:
            return _values_of(file, enum_name)
    raise LookupError(f"no proto file {file_name}")


def _values_of(file: FileDescriptorProto, enum_name: str) -> list[EnumValue]:
    comments = {tuple(location.path): location.leading_comments for location in file.source_code_info.location}
    for index, enum in enumerate(file.enum_type):
        if enum.name == enum_name:
            return [
                EnumValue(value.name, value.number, _text(comments.get((_ENUMS, index, _VALUES, position), "")))
                for position, value in enumerate(enum.value)
            ]
    raise LookupError(f"no enum {enum_name} in {file.name}")


def _text(comment: str) -> str:
    return "\n".join(line.strip() for line in comment.splitlines()).strip()
