"""What errors of Redis mean for a store: told apart by the code that an error reply begins with, never by its text."""

from gateway.stores.base import StoreFailure, StoreProblem


class ReplyError(Exception):
    """Redis answered a command with an error. The text begins with a code in capitals."""

    @property
    def code(self) -> str:
        """The first word."""
        return str(self).partition(" ")[0]


class NoReply(Exception):
    """The connection is gone, or nothing came in time. Whether a command that was sent has run is unknown."""


_PROBLEMS = {
    "BUSY": StoreProblem.BUSY,  # another script runs, for longer than it should
    "LOADING": StoreProblem.BUSY,  # it has just been started and reads its data
    "TRYAGAIN": StoreProblem.BUSY,  # the slot is just being moved to another node
    "CLUSTERDOWN": StoreProblem.BUSY,
    "MASTERDOWN": StoreProblem.BUSY,
    "OOM": StoreProblem.FULL,
    "READONLY": StoreProblem.READ_ONLY,  # it has become a replica
    "NOREPLICAS": StoreProblem.READ_ONLY,  # fewer replicas than min-replicas-to-write
    "NOAUTH": StoreProblem.READ_ONLY,
    "NOPERM": StoreProblem.READ_ONLY,
    "WRONGPASS": StoreProblem.READ_ONLY,
    "MISCONF": StoreProblem.IO,  # its own writing to the disk fails
    "GONE": StoreProblem.GONE,  # said by the store's own scripts
    "FENCED": StoreProblem.FENCED,  # and this
}

_NOT_HERE = frozenset({"MOVED", "ASK"})


def failure_of(error: Exception) -> StoreFailure:
    """Return the failure that an error stands for."""
    if isinstance(error, ReplyError):
        if error.code in _NOT_HERE:
            return StoreFailure(StoreProblem.IO, "another node of the cluster has the records now")
        text = str(error).removeprefix("GONE ").removeprefix("FENCED ")
        return StoreFailure(_PROBLEMS.get(error.code, StoreProblem.IO), text)
    return StoreFailure(StoreProblem.IO, str(error) or type(error).__name__)
