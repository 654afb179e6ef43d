"""What a caller knows of its session."""

from dataclasses import dataclass, field


@dataclass
class Known:
    """A session as its caller knows it."""

    id: str
    worker_id: str
    timeout: int
    """Seconds after which it expires."""
    tokens: list[str] = field(default_factory=list)
    """What its calls have brought, in their order."""
    promised: float = 0.0
    """The latest moment, in seconds of the wall clock, until which it lives, as some answer said."""
