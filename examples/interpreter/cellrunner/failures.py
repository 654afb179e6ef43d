"""Describes an exception of user code, with the frames of user code only."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from cellrunner.bounded import clipped
from cellrunner.values import safe_text, type_name


@dataclass(frozen=True)
class Failure:
    """An exception: its class, its message and its traceback, each bounded."""

    type: str
    message: str
    traceback: str


def failure(error: BaseException, is_user_file: Callable[[str], bool]) -> Failure:
    """Describe an exception. Frames of libraries and of this app are left out of its traceback and of its causes'."""
    report = traceback.TracebackException.from_exception(error)
    _keep_user_frames(report, is_user_file)
    return Failure(
        type=clipped(type_name(error)),
        message=clipped(safe_text(str, error)),
        traceback=clipped("".join(report.format())),
    )


def _keep_user_frames(report: traceback.TracebackException, is_user_file: Callable[[str], bool]) -> None:
    open_reports = [report]
    while open_reports:
        current = open_reports.pop()
        current.stack[:] = [frame for frame in current.stack if is_user_file(frame.filename)]
        related = [current.__cause__, current.__context__, *(current.exceptions or ())]
        open_reports.extend(one for one in related if one is not None)
