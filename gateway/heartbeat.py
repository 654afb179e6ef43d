"""What tells that the event loop of a gateway process runs, and how often it was held up."""

import asyncio
import logging
import time
from collections.abc import Callable

from gateway.board import Figure, Member
from gateway.timing import HEARTBEAT, LOOP_STALL

logger = logging.getLogger("gateway")


class Heartbeat:
    """Beats in the event loop. Whoever calls `start` calls `stop`."""

    def __init__(self, member: Member | None = None) -> None:
        """With a `member` it shows each beat to the supervisor and the other processes."""
        self.stalls = 0
        """How often the loop was held up for longer than LOOP_STALL."""
        self.on_beat: list[Callable[[], object]] = []
        """Called at each beat, after it was shown. None may raise."""
        self._member = member
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._worked = 0.0

    def start(self) -> None:
        """Begin, on the running loop."""
        self._due = time.monotonic()
        self._worked = time.process_time()
        self._beat()

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        now, worked = time.monotonic(), time.process_time()
        # Set again first: what follows may not cost the next beat.
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT, self._beat)
        late = now - self._due
        if late > LOOP_STALL:
            self.stalls += 1
            logger.warning(
                "the event loop was held up for %.1f s, in which the process used %.1f s of processor time: nobody was "
                "answered meanwhile",
                late,
                worked - self._worked,
            )
        self._due, self._worked = now + HEARTBEAT, worked
        if self._member is not None:
            self._member.show(Figure.BEAT, int(now * 1000))
        for call in self.on_beat:
            call()
