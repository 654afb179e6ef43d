"""The file in which every call leaves its token when it runs, wherever that is."""

from collections import Counter
from pathlib import Path

from tools.chaos.tally import Tally


class Ledger:
    """The file, and which tokens must never come into it."""

    def __init__(self, path: Path) -> None:
        """Makes the file."""
        path.touch()
        self.path = path
        self._not_started: set[str] = set()

    def told_not_started(self, token: str) -> None:
        """Note that the only call with this token was refused as not started."""
        self._not_started.add(token)

    def judge(self, tally: Tally) -> None:
        """Count what ran more often than it should have."""
        for token, times in Counter(self.path.read_text().split()).items():
            if times > 1:
                tally.wrong("run_twice", f"{token}: {times} times")
            if token in self._not_started:
                tally.wrong("run_unasked", f"{token} was not started, its caller was told")
