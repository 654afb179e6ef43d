"""What an app prints, line by line with the call that printed it.

Standard output and error are one pipe, into which whatever an app has loaded or started writes as well. What goes
through Python's `sys.stdout` and `sys.stderr` gets a mark before each line that a call prints, also where several run
at a time, and from a task that a call has left behind. The gateway takes the marks off (gateway/workers/output.py).
"""

import io
import sys

from gateway.workers.frames import mark_of_call
from sessiongateway.app import _current, current_call


class PrintedByCalls(io.TextIOWrapper):
    """A text stream that marks the lines of calls. All else is as it is without."""

    _line_begins = True

    def write(self, text: str) -> int:
        """Write a text. See io.TextIOWrapper."""
        if not text:
            return 0
        written = text
        if _current.get(None) is not None:
            context = current_call()
            mark = mark_of_call(context.call_id, (context.traceparent or "")[3:35])
            # What follows the last newline, if it is the last of all, is marked when it comes.
            written = text[:-1].replace("\n", f"\n{mark}") + text[-1]
            if self._line_begins:
                written = mark + written
        self._line_begins = text[-1] == "\n"
        super().write(written)
        return len(text)


def mark_output() -> None:
    """Have `sys.stdout` and `sys.stderr` mark lines from now on. Before the app is imported, which may keep either."""
    # The second pair too: the streams that they were have let go of their descriptors.
    sys.stdout = sys.__stdout__ = _marking(sys.stdout)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _marking(sys.stderr)  # type: ignore[misc]


def _marking(stream: object) -> PrintedByCalls:
    assert isinstance(stream, io.TextIOWrapper)
    encoding, errors = stream.encoding, stream.errors
    buffering, through = stream.line_buffering, stream.write_through
    stream.flush()
    return PrintedByCalls(
        stream.detach(), encoding=encoding, errors=errors, line_buffering=buffering, write_through=through
    )
