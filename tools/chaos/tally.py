"""What a run of chaos has done, has seen, and must not have seen."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts and extremes. Times are in seconds."""

    strikes: Counter[str] = field(default_factory=Counter)
    """What was done to gateways and workers, by its kind."""
    sessions: int = 0
    calls: int = 0
    streams: int = 0
    bursts: int = 0
    """Calls of one session that were sent at the same time, by twos and more."""
    expiries: int = 0
    """Sessions that were left alone on purpose, and that expired."""
    kept: int = 0
    """Sessions that lived by nothing but StreamKeepalive, through every gateway, for longer than their timeout."""
    events: int = 0
    """What the watches told of sessions."""
    repeats: int = 0
    """Calls that were sent again under their request_id."""
    wrong_answers: int = 0
    lost_without_reason: int = 0
    early_expiries: int = 0
    living_on: int = 0
    """Sessions that were there after their end was answered, or long after they were due."""
    without_a_word: int = 0
    """Calls that nobody answered in time, or whose error does not say whether they ran."""
    run_twice: int = 0
    run_unasked: int = 0
    """Calls that ran although their callers were told that they had not been started."""
    wrong_events: int = 0
    """Events that are missing, repeated, out of order or of something that did not happen."""
    orphans: int = 0
    latest_expiry: float = 0.0
    latest_expiry_after_trouble: float = 0.0
    """Of sessions that were due while a gateway was away, or had just come back: since it was back."""
    slowest_detection: float = 0.0
    node_losses: int = 0
    """Sessions that were lost with their nodes while all gateways were there."""
    slowest_node_detection: float = 0.0
    """Of those: from the death of the node until the end of the session was on record."""
    slowest_return: float = 0.0
    """From the death of a gateway, or of one of its processes, until its successor served."""
    remarks: list[str] = field(default_factory=list)
    """What went wrong, a line each."""

    def wrong(self, counter: str, remark: str) -> None:
        """Count something that must not happen."""
        setattr(self, counter, getattr(self, counter) + 1)
        self.remarks.append(f"{counter}: {remark}")
