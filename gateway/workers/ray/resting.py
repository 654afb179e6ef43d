"""Rest for the main thread of an actor, which Ray wakes up a hundred times a second.

Ray's loop there looks every 10 ms whether a signal has come for Python, and no setting of Ray's changes that: two
thirds of a percent of a core for each actor, for nothing. So it is told that one has, each time, and the handler of
that "signal" waits. No signal is sent: `_thread.interrupt_main` marks it as pending, for that thread alone.

Real signals end the wait at once, and Ray's own handlers are then called as ever (docs/adr/0046-resting-actors.md).
"""

import _thread
import contextlib
import signal
import threading
import time

from gateway.timing import ACTOR_AWAKE, ACTOR_REST

_PRETENDED = signal.SIGUSR2
"""One that neither Ray nor this gateway sends to an actor. If somebody else does, the main thread rests once more."""


class MainThreadRest:
    """Has the main thread wait most of the time. What Ray wants of it meanwhile it does ACTOR_REST seconds later."""

    def __init__(self) -> None:
        """To be made on the main thread; made on another one, where no handlers can be set, it changes nothing."""
        self._rested = threading.Event()
        self._possible = False
        with contextlib.suppress(ValueError):
            signal.signal(_PRETENDED, self._rest)
            self._possible = True

    def begin(self) -> None:
        """Let it rest from now on, for as long as the process lives."""
        if self._possible:
            self._possible = False
            threading.Thread(target=self._lull, name="rest", daemon=True).start()

    def _lull(self) -> None:
        while True:
            time.sleep(ACTOR_AWAKE)
            _thread.interrupt_main(_PRETENDED)
            # Never twice for one rest: a handler that is interrupted by its own signal begins again inside itself.
            self._rested.wait()
            self._rested.clear()

    def _rest(self, *_: object) -> None:
        try:
            time.sleep(ACTOR_REST)
        finally:
            self._rested.set()
