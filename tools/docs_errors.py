"""Writes docs/errors.md from the comments of errors.proto, the one place where errors are described."""

from dataclasses import dataclass

from tools.descriptors import EnumValue, enum_values

FILE = "sessiongateway/v1/errors.proto"
LABELS = ("Status", "HTTP", "Metadata", "Do")

_HEAD = """\
<!-- Generated from proto/sessiongateway/v1/errors.proto by `make docs`; edit the comments there. -->

# Errors

Every status other than OK that the gateway makes carries, in `grpc-status-details-bin`, a `google.rpc.ErrorInfo` and a
`sessiongateway.v1.ErrorDetail`. Read the code from either: `ErrorInfo.reason` has its short name (`SESSION_EXPIRED`),
with the domain `sessiongateway`, and `ErrorDetail.code` the enum value (`ERROR_CODE_SESSION_EXPIRED`). Never read it
from the message, which is for people and may change.

`ErrorInfo.metadata` always has `httpStatus`, and besides it the keys listed with each code. `google.rpc.BadRequest`
goes with errors about fields, `google.rpc.RetryInfo` with those where waiting may help.
"""


@dataclass(frozen=True)
class ErrorDoc:
    """What errors.proto says of one code."""

    code: str
    number: int
    summary: str
    status: str
    http: int
    metadata: tuple[str, ...]
    do: str


def error_docs() -> list[ErrorDoc]:
    """Return the documentation of every code but UNSPECIFIED, in the order of the enum.

    Raises:
        ValueError: a comment lacks its first paragraph or one of the four lines, or has one that is not in its form.
    """
    return [parse(value) for value in enum_values(FILE, "ErrorCode") if value.number != 0]


def parse(value: EnumValue) -> ErrorDoc:
    """Read the comment of one code.

    Raises:
        ValueError: as for error_docs.
    """
    summary, _, rest = value.comment.partition("\n\n")
    lines = dict[str, str]()
    for line in rest.splitlines():
        label, colon, text = line.partition(": ")
        if not colon or label not in LABELS or label in lines:
            raise ValueError(f"{value.name}: expected a line for each of {', '.join(LABELS)}, found {line!r}")
        lines[label] = text
    missing = [label for label in LABELS if not lines.get(label)]
    if missing or not summary:
        raise ValueError(f"{value.name}: the comment lacks {', '.join(missing) or 'its first paragraph'}")
    metadata = () if lines["Metadata"] == "none" else tuple(lines["Metadata"].split(", "))
    return ErrorDoc(
        code=value.name.removeprefix("ERROR_CODE_"),
        number=value.number,
        summary=_one_line(summary),
        status=lines["Status"],
        http=int(lines["HTTP"]),
        metadata=metadata,
        do=lines["Do"],
    )


def render() -> str:
    """Return the whole page."""
    docs = error_docs()
    parts = [_HEAD, "| Code | gRPC status | HTTP | When |\n|---|---|---|---|\n"]
    parts[-1] += "".join(f"| {_link(doc.code)} | {doc.status} | {doc.http} | {doc.summary} |\n" for doc in docs)
    parts += [_section(doc) for doc in docs]
    parts.append(
        "## Did the call run?\n\nEvery error of Run says so in `ErrorDetail.run_state`.\n\n"
        + _table("Run state", "RunState", "RUN_STATE_")
    )
    parts.append(
        "## Why did the session end?\n\n`Session.end_reason`, and `ErrorDetail.end_reason` beside SESSION_ENDED.\n\n"
        + _table("End reason", "EndReason", "END_REASON_")
    )
    return "\n".join(parts)


def _link(code: str) -> str:
    return f"[{code}](#{code.lower()})"


def _section(doc: ErrorDoc) -> str:
    keys = ", ".join(f"`{key}`" for key in doc.metadata) or "none"
    facts = f"- Status: `{doc.status}` ({doc.http} in HTTP)\n- Metadata: {keys}\n- What to do: {doc.do}\n"
    return f"## {doc.code}\n\n{doc.summary}\n\n{facts}"


def _table(title: str, enum_name: str, prefix: str) -> str:
    values = [value for value in enum_values(FILE, enum_name) if value.number != 0]
    rows = [f"| {value.name.removeprefix(prefix)} | {_one_line(value.comment)} |\n" for value in values]
    return f"| {title} | Meaning |\n|---|---|\n" + "".join(rows)


def _one_line(text: str) -> str:
    return " ".join(text.split())
