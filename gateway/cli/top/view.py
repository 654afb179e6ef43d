"""How somebody looks at the picture."""

from dataclasses import dataclass

from gateway.cli.top.order import ORDERS, Order


@dataclass(frozen=True, slots=True)
class View:
    """How the picture is looked at."""

    address: str
    metrics: str | None
    """Where the numbers come from."""
    order: Order = ORDERS[0]
    first: int = 0
    """The first session that is shown, from the top of the list."""
    keys: bool = True
    """Whether there are keys to be told of."""
