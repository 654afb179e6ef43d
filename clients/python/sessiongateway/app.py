"""The base classes of apps: what an author of an app imports, and all of it.

An app is a directory with an `app.py` that defines `class App(BaseApp)`. Its public methods are the functions that
callers can run. One instance lives in one worker process; in a session that process belongs to one caller, so what
the instance keeps in attributes, files and connections is still there at the session's next call.

Importing this module loads neither grpc nor protobuf: it is imported in processes that fork.
"""

from collections.abc import Awaitable

from pydantic import BaseModel

__all__ = ["BaseApp", "BaseAppInput", "BaseAppOutput"]


class BaseAppInput(BaseModel):
    """The input of a function, checked before the function runs; what does not fit is INVALID_INPUT."""


class BaseAppOutput(BaseModel):
    """The output of a function."""


class BaseApp:
    """One instance per worker process.

    A function is a public method that takes nothing, or one argument: a pydantic model, or a `dict` when it has no
    annotation or `dict` as one. It returns a pydantic model, a `dict`, or None for an empty object, and may be
    `async def` or `def`. All of an app runs on one thread with one event loop, so a connection made in `__init__` or
    `setup()` can be used in every call; a plain `def` function blocks that loop while it runs.
    """

    def setup(self) -> Awaitable[None] | None:
        """Prepare what is dear: load models, open connections. Ready-made workers have done this ahead of a caller.

        May be `async def` or `def`. An exception here makes the start fail: APP_START_FAILED.
        """

    def unload(self) -> Awaitable[None] | None:
        """Let go before the process ends, within the worker's grace period. May be `async def` or `def`."""
