"""A store that lets others go on while it works, as one does that is reached over a network."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from gateway.stores.base import SessionStore


class Stop:
    """Where the next operation of a name is kept, once it has happened or failed, until the test lets it return."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure
        self.happened = asyncio.Event()
        self.go_on = asyncio.Event()


class SuspendingStore:
    """Has each operation begin, and return, some turns of the event loop later than it was asked for."""

    def __init__(self, inside: SessionStore) -> None:
        self._inside = inside
        self._stops: dict[str, Stop] = {}

    def stop(self, name: str, failure: Exception | None = None) -> Stop:
        """Keep the next operation of this name. With a `failure` it does not happen."""
        self._stops[name] = Stop(failure)
        return self._stops[name]

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        operation: Callable[..., Awaitable[Any]] = getattr(self._inside, name)

        async def slow(*args: object, **kwargs: object) -> Any:
            await asyncio.sleep(0)
            stop = self._stops.pop(name, None)
            failure = None if stop is None else stop.failure
            answer = await operation(*args, **kwargs) if failure is None else None
            if stop is not None:
                stop.happened.set()
                await stop.go_on.wait()
            if failure is not None:
                raise failure
            await asyncio.sleep(0)
            return answer

        return slow


def suspending(store: SessionStore) -> tuple[SessionStore, SuspendingStore]:
    """Return a store that suspends, as a store and as what a test holds it by."""
    found = SuspendingStore(store)
    return cast("SessionStore", found), found
