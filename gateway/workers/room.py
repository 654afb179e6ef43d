"""How many workers a gateway process may have: all of them, or with other processes beside it a part, which moves to
where callers wait.
"""

from collections.abc import Callable

from gateway.board import Figure, Member
from gateway.share import Share


class Room:
    """The room for workers of one process.

    What one process has lent to another is on the board, so that the parts always add up to the whole. Each lends what
    it has free itself, and so none can have its room taken away.
    """

    def __init__(self, total: int, share: Share, member: Member | None = None) -> None:
        """Without a `member` there is no other process."""
        self.wake: Callable[[int], object] = lambda other: None
        """Called with another process that is to look at its room again."""
        self._total = total
        self._base = share.part(total)
        self._member = member
        self._taken = 0

    @property
    def limit(self) -> int:
        """How many workers there may be now."""
        if self._member is None:
            return self._total
        board, own = self._member.board, self._member.index
        # After a restart with another number of processes one of them may have more than its part.
        beside = sum(board.shown(other, Figure.WORKERS) for other in self._member.others())
        return min(self._base + board.balance(own), self._total - beside)

    @property
    def free(self) -> int:
        """For how many more there is room."""
        return self.limit - self._taken

    def tell(self, workers: int, idle: int, waiting: int) -> None:
        """Show how many workers there are, how many of them are ready, and how many callers find no room."""
        if self._member is None:
            return
        gave_back, self._taken = workers < self._taken, workers
        hungrier = waiting > self._member.shown(Figure.WAITING)
        self._member.show(Figure.WORKERS, workers)
        self._member.show(Figure.IDLE, idle)
        self._member.show(Figure.WAITING, waiting)
        for other in self._member.others():
            if hungrier or (gave_back and self._member.board.shown(other, Figure.WAITING)):
                self.wake(other)

    def wanted(self) -> bool:
        """Whether others need room that they do not have."""
        return self._member is not None and any(self._need(self._member, other) > 0 for other in self._member.others())

    def lend(self) -> None:
        """Give what is free to those who need it."""
        if self._member is None:
            return
        board, own = self._member.board, self._member.index
        for other in self._member.others():
            free = self._base + board.balance(own) - self._taken
            amount = min(self._need(self._member, other), free)
            if amount > 0:
                board.lend(own, other, amount)
                self.wake(other)

    def _need(self, member: Member, other: int) -> int:
        if not member.serving(other):
            return 0
        board = member.board
        part = Share(other, board.count).part(self._total) + board.balance(other)
        return board.shown(other, Figure.WAITING) - max(0, part - board.shown(other, Figure.WORKERS))
