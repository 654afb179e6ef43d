"""Which gateway processes hang, as their supervisor judges by their heartbeats."""

import logging

from gateway.board import Board, Figure
from gateway.timing import HANG_LOOK, HANG_NOTICE

logger = logging.getLogger("gateway")

_NOTICED_AFTER = 1 / 3
"""Of the time after which a process is killed, unless HANG_NOTICE is shorter."""


class Vigil:
    """Tells of processes that do not answer, and says which is to be killed.

    A process is judged from its first heartbeat on: what a start does in one piece may take long.
    """

    def __init__(self, board: Board, timeout: float, now: float) -> None:
        """`timeout` is the silence in seconds after which a process is killed, 0 for never. `now` is monotonic."""
        self._board = board
        self._timeout = timeout
        self._notice = min(HANG_NOTICE, timeout * _NOTICED_AFTER) if timeout else HANG_NOTICE
        self._looked = now
        self._beats = [0] * board.count
        self._silent = [0.0] * board.count
        self._dying: int | None = None

    def look(self, now: float) -> int | None:
        """Look at all processes, and return the one that is to be killed, if there is one.

        Called every HANG_LOOK. Time in which nobody looked hardly counts: then all was stopped, the machine or the
        supervisor with the others. One process is killed at a time, and the next one only when that has ended: what
        stops all of them, such as a disk that does not answer, is not mended by their end.
        """
        passed = min(now - self._looked, HANG_LOOK)
        self._looked = now
        due = None
        for index in range(self._board.count):
            beat = self._board.shown(index, Figure.BEAT)
            if not beat or beat != self._beats[index]:
                self._answered(index, beat)
                continue
            self._silent[index] += passed
            if self._silent[index] >= self._notice and not self._hangs(index):
                self._tell(index)
            if self._timeout and self._silent[index] >= self._timeout and self._dying is None:
                self._dying = due = index
        if due is not None:
            logger.error("gateway process %d has not answered for %.0f s and is killed", due, self._silent[due])
        return due

    def _hangs(self, index: int) -> bool:
        return self._board.shown(index, Figure.HANGS) != 0

    def ended(self, index: int) -> None:
        """Hear that a process has ended."""
        self._silent[index] = 0.0
        if self._dying == index:
            self._dying = None

    def _answered(self, index: int, beat: int) -> None:
        if self._hangs(index):
            self._board.show(index, Figure.HANGS, 0)
            logger.info("gateway process %d answers again, after %.0f s", index, self._silent[index])
        self._beats[index], self._silent[index] = beat, 0.0

    def _tell(self, index: int) -> None:
        self._board.show(index, Figure.HANGS, 1)
        then = f"it is killed after {self._timeout:g} s" if self._timeout else "it is left alone (server.hang_timeout)"
        logger.error(
            "gateway process %d has not answered for %.0f s: calls for its sessions are refused for now; %s",
            index,
            self._silent[index],
            then,
        )
