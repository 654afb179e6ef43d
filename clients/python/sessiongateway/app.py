"""The base classes of apps: what an author of an app imports, and all of it.

An app is a directory with an `app.py` that defines `class App(BaseApp)`. Its public methods are the functions that
callers can run. One instance lives in one worker process; in a session that process belongs to one caller, so what
the instance keeps in attributes, files and connections is still there at the session's next call.

Importing this module loads neither grpc nor protobuf: it is imported in processes that fork. Nor does it load
pydantic, before `BaseAppInput` or `BaseAppOutput` is asked for: what a process has loaded, each fork of it pays for.
"""

import importlib
import time
from collections.abc import Awaitable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from sessiongateway._models import BaseAppInput, BaseAppOutput

__all__ = ["BaseApp", "BaseAppInput", "BaseAppOutput", "CallContext", "Result", "current_call"]

_MODELS = ("BaseAppInput", "BaseAppOutput")


def __getattr__(name: str) -> Any:
    if name not in _MODELS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module("sessiongateway._models"), name)
    return found


@dataclass(frozen=True, slots=True)
class CallContext:
    """The call that is running, as its function may want to know it."""

    call_id: str
    """Names the call in the gateway's log."""
    session_id: str
    """The session that it belongs to; empty for a plain call."""
    deadline: float | None
    """When the caller stops waiting, in seconds of `time.clock_gettime(time.CLOCK_BOOTTIME)`; None for never."""
    traceparent: str | None = None
    """Where the call stands in a trace (W3C Trace Context): the gateway's own span if that traces calls, else what the
    caller sent; None for no trace."""
    tracestate: str | None = None
    """What tracing systems have added to that; None for nothing."""
    baggage: str | None = None
    """What the caller sends along for whoever takes part in the call (W3C Baggage); None for nothing."""

    def time_left(self) -> float | None:
        """Return the seconds until the caller stops waiting, 0.0 when it has; None when it waits for ever."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - time.clock_gettime(time.CLOCK_BOOTTIME))


class _Asked(Protocol):
    """A call as a worker was asked for it."""

    @property
    def id(self) -> str: ...
    @property
    def session_id(self) -> str: ...
    @property
    def deadline(self) -> float: ...
    @property
    def traceparent(self) -> str: ...
    @property
    def tracestate(self) -> str: ...
    @property
    def baggage(self) -> str: ...


_current: ContextVar[CallContext | _Asked] = ContextVar("sessiongateway_call")


def current_call() -> CallContext:
    """Return the call that is running, also in tasks and coroutines that its function has started.

    Raises:
        LookupError: No call is running: in the constructor, in setup(), on_end() and unload().
    """
    call = _current.get()
    if isinstance(call, CallContext):
        return call
    # Made only now: few functions ask.
    context = CallContext(
        call.id,
        call.session_id,
        call.deadline or None,
        call.traceparent or None,
        call.tracestate or None,
        call.baggage or None,
    )
    _current.set(context)
    return context


OutputT = TypeVar("OutputT")


@dataclass(frozen=True, slots=True)
class Result(Generic[OutputT]):
    """Yielded by a generator in place of a partial output: ends it, with `output` as the result of the call.

    A plain generator may just as well `return output`, which an async one cannot.
    """

    output: OutputT


class BaseApp:
    """One instance per worker process.

    A function is a public method that takes nothing, or one argument: a pydantic model, or a `dict` when it has no
    annotation or `dict` as one. It returns a pydantic model, a `dict`, or None for an empty object, and may be
    `async def` or `def`.

    A generator, async or not, is a function that streams: callers of RunStream get each object that it yields as it
    comes, and a slow reader makes it wait. The call's result is what it ends with (see `Result`), else an empty object;
    Run gives the result alone.

    All of an app runs on one thread with one event loop, so a connection made in `__init__` or `setup()` can be used
    in every call; a plain `def` function blocks that loop while it runs, and a plain generator from one `yield` to the
    next.
    """

    def setup(self) -> Awaitable[None] | None:
        """Prepare what is dear: load models, open connections. Ready-made workers have done this ahead of a caller.

        May be `async def` or `def`. An exception here makes the start fail: APP_START_FAILED.
        """

    def on_end(self, reason: str) -> Awaitable[None] | None:
        """Hear why the session ends, before unload() and within the same grace. May be `async def` or `def`.

        `reason` is "caller" (it was ended), "idle_timeout", "max_lifetime", "first_call_failed", "gateway_restarted",
        or "abandoned": no gateway has come back to this worker. Not called in a worker that never had a session, nor in
        one that died or was killed: "memory_limit", "process_limit", "disk_limit" and "call_timed_out" are never heard.
        """

    def unload(self) -> Awaitable[None] | None:
        """Let go before the process ends, within the worker's grace period. May be `async def` or `def`."""
