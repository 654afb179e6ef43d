"""From an exception to what is told about it."""

import traceback
from pathlib import Path

from sessiongateway.worker.v1 import worker_pb2 as pb

MAX_MESSAGE = 2048
MAX_TRACEBACK = 4096
"""Characters that leave the process; the edge shortens further. The whole traceback goes to the worker's output."""

_NOT_THE_APPS = (str(Path(__file__).parent), "<frozen importlib")
"""Where the frames above an app's first one come from: this package, and the import of `app.py`."""


TIMED_OUT = "sessiongateway.CallTimedOut"
"""The type of the failure of a call that took longer than its app allows: no class can have this name."""


class CallRefused(Exception):
    """The function was not run. Carries the failure to answer with."""

    def __init__(self, failure: pb.Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def refused(
    kind: "pb.FailureKind.ValueType", message: str, violations: list[pb.Violation] | None = None
) -> CallRefused:
    """Return the refusal of a call whose function is not run."""
    return CallRefused(pb.Failure(kind=kind, message=message, violations=violations or []))


def raised(error: BaseException, kind: "pb.FailureKind.ValueType" = pb.FAILURE_KIND_RAISED) -> pb.Failure:
    """Return what an app's exception tells: type, text, and the traceback's end without the worker's own frames."""
    return pb.Failure(
        kind=kind,
        type=type(error).__name__,
        message=_encodable(_text_of(error))[:MAX_MESSAGE],
        traceback=_encodable("".join(format_traceback(error)))[-MAX_TRACEBACK:],
    )


def timed_out(limit: float) -> pb.Failure:
    """Return the failure of a call that was cancelled because it took longer than its app allows. Its text is
    the limit in seconds.
    """
    return pb.Failure(kind=pb.FAILURE_KIND_RAISED, type=TIMED_OUT, message=f"{limit:g}")


def format_traceback(error: BaseException) -> list[str]:
    """Return the lines of the traceback from the app's first frame on."""
    outermost = error.__traceback__
    while outermost is not None and outermost.tb_frame.f_code.co_filename.startswith(_NOT_THE_APPS):
        outermost = outermost.tb_next
    return traceback.format_exception(type(error), error, outermost)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # the app's own __str__ may raise anything
        return ""


def _encodable(text: str) -> str:
    # A lone surrogate is a valid str, but not valid UTF-8, which a protobuf string must be.
    return text.encode("utf-8", "backslashreplace").decode()
