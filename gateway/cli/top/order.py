"""In what order sessions are shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.cli.top.picture import SessionRow


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the sessions; what is not known comes last."""

    key: str
    """Pressed for it."""
    name: str
    of: Callable[[SessionRow], float | None]
    descending: bool = True

    def sort(self, rows: Sequence[SessionRow]) -> list[SessionRow]:
        """Return them in this order; those that are alike stay as they were."""
        return sorted(rows, key=self._rank)

    def _rank(self, row: SessionRow) -> tuple[bool, float]:
        value = self.of(row)
        if value is None:
            return True, 0.0
        return False, -value if self.descending else value


ORDERS = (
    Order("r", "rate", lambda row: row.rate),
    Order("c", "calls", lambda row: row.calls),
    Order("m", "memory", lambda row: row.memory),
    Order("a", "age", lambda row: row.age),
    Order("i", "idle", lambda row: row.idle),
    Order("l", "left", lambda row: row.left, descending=False),
)
"""The first one is that of the beginning."""

BY_NAME = {order.name: order for order in ORDERS}
BY_KEY = {order.key: order for order in ORDERS}
