"""What several gateway processes show one another at every moment: a few numbers each, in memory that they share.

Each number has one writer, and a reader that sees an old one decides a little worse and never wrongly. So there is
nothing to lock. The memory is the supervisor's: what a process that died has lent stays lent.
"""

import enum
import mmap
import socket
from collections.abc import Sequence

_BYTES = 8


class Standing(enum.IntEnum):
    """How far a process has come."""

    DOWN = 0
    SERVING = 1
    QUIET = 2
    """It drains, and no call is in flight in it any more."""


class Figure(enum.IntEnum):
    """What a process shows of itself."""

    STANDING = 0
    WORKERS = 1
    """Worker processes that it has."""
    IDLE = 2
    """Those among them that are ready and nobody's."""
    WAITING = 3
    """Calls that wait for a worker for which it has no room."""
    PLAIN = 4
    """Plain calls in flight."""
    WATCHES = 5
    """Watches that it serves."""
    BEAT = 6
    """When its event loop last ran, in milliseconds on the monotonic clock. 0 before it serves."""
    HANGS = 7
    """1 for one that does not answer. It is the supervisor who shows this."""
    ENDED = 8
    """1 once a process of this number has ended. It is the supervisor who shows this, too."""


class Board:
    """A row of numbers for each process, and how much of its room each has lent to each."""

    def __init__(self, count: int) -> None:
        """Made before the processes are forked."""
        self.count = count
        self._width = len(Figure) + count
        # 64 bits each, aligned: a reader never sees half of one.
        self._cells = memoryview(mmap.mmap(-1, (self._width * count + 1) * _BYTES)).cast("q")

    @property
    def stopping(self) -> bool:
        """Whether all processes are to drain. The supervisor says so before it tells them."""
        return self._cells[-1] != 0

    @stopping.setter
    def stopping(self, stopping: bool) -> None:
        self._cells[-1] = int(stopping)

    def show(self, index: int, figure: Figure, value: int) -> None:
        """Set a number of one's own."""
        self._cells[index * self._width + figure] = value

    def shown(self, index: int, figure: Figure) -> int:
        """Return a number of any process."""
        return self._cells[index * self._width + figure]

    def lend(self, lender: int, borrower: int, amount: int) -> None:
        """Give room away. Called by the lender."""
        self._cells[lender * self._width + len(Figure) + borrower] += amount

    def balance(self, index: int) -> int:
        """Return how much more room a process has been lent than it has lent: these add up to 0."""
        given = sum(self._lent(index, other) for other in range(self.count))
        return sum(self._lent(other, index) for other in range(self.count)) - given

    def died(self, index: int) -> None:
        """Clear the row of a process that has ended. Its workers still count: those of sessions live on."""
        for figure in Figure:
            if figure is not Figure.WORKERS:
                self.show(index, figure, 0)
        self.show(index, Figure.ENDED, 1)

    def _lent(self, lender: int, borrower: int) -> int:
        return self._cells[lender * self._width + len(Figure) + borrower]


class Member:
    """One process among several: its number, and what it shows and sees."""

    def __init__(
        self,
        index: int,
        board: Board,
        generation: str,
        sockets: Sequence[Sequence[socket.socket]] = (),
        metrics: Sequence[socket.socket] = (),
    ) -> None:
        """`sockets` and `metrics` are those of `gateway.ports.Ports`, which the supervisor holds."""
        self.index = index
        self.board = board
        self.sockets = sockets
        self.metrics = metrics
        self.generation = generation
        """Names the supervisor that started the process."""

    def show(self, figure: Figure, value: int) -> None:
        """Set a number of one's own."""
        self.board.show(self.index, figure, value)

    def shown(self, figure: Figure) -> int:
        """Return a number of one's own."""
        return self.board.shown(self.index, figure)

    def others(self) -> list[int]:
        """Return the numbers of the other processes."""
        return [index for index in range(self.board.count) if index != self.index]

    def serving(self, index: int) -> bool:
        """Whether a process answers."""
        return self.board.shown(index, Figure.STANDING) != Standing.DOWN and not self.hangs(index)

    def hangs(self, index: int) -> bool:
        """Whether a process is there and does not answer, as the supervisor judges."""
        return self.board.shown(index, Figure.HANGS) != 0
