"""The server's clock, by which the deadlines on record are: the one thing that all gateways of a data set share.

A gateway goes by its own machine's monotonic clock, and so do its workers. What goes on record is moved by the
difference between that and the server's clock, and what is read is moved back, so that records outlive the boot of a
machine and mean the same to every gateway.
"""

import logging

from gateway.timing import REDIS_CLOCK_SLEW, REDIS_CLOCK_STEP

logger = logging.getLogger("gateway.stores")

_SHARES = 2
"""A deadline is as uncertain as the clock of who wrote it, and the moment of who reads it as uncertain as theirs."""


class ServerTime:
    """The difference between the server's clock and the gateway's, as it was last measured.

    It is followed slowly: a server whose clock is set must not have sessions expire that have time left.
    """

    def __init__(self) -> None:
        self.offset = 0.0
        """Seconds that the server's clock is ahead of the gateway's monotonic one."""
        self.uncertainty = 0.0
        """Seconds by which that may be wrong."""
        self._measured = 0.0
        self._known = False
        self._told = False

    @property
    def margin(self) -> float:
        """How much earlier than now the moment is by which a session may be found due."""
        return _SHARES * self.uncertainty

    def begin(self, asked: float, server: float, answered: float) -> None:
        """Take the measurement of a new connection: the server's time between two moments of the gateway's."""
        if self._known:
            self.follow(asked, server, answered)  # by whatever server it is now
            return
        self.offset, self.uncertainty = server - (asked + answered) / 2, (answered - asked) / 2
        self._measured, self._known = answered, True

    def follow(self, asked: float, server: float, answered: float) -> None:
        """Take a later measurement."""
        half = (answered - asked) / 2
        difference = server - (asked + answered) / 2 - self.offset
        beyond = max(0.0, abs(difference) - half)
        most = REDIS_CLOCK_SLEW * max(0.0, answered - self._measured)
        self.offset += min(beyond, most) if difference > 0 else -min(beyond, most)
        self._measured = answered
        far = beyond > REDIS_CLOCK_STEP
        if far and not self._told:
            logger.warning(
                "the clock of the Redis server was set by %.1f s: this gateway stays with the time that it had",
                difference,
            )
        self._told = far


class GatewayTime(ServerTime):
    """No difference at all: for a gateway whose time is not the machine's."""

    def begin(self, asked: float, server: float, answered: float) -> None:
        pass

    def follow(self, asked: float, server: float, answered: float) -> None:
        pass
