"""How a call ended."""

from dataclasses import dataclass

from sessiongateway.worker.v1 import worker_pb2 as pb


@dataclass(eq=False, slots=True)
class Outcome:
    """The output of a function, or why there is none. Exactly one of the two is set."""

    output: bytes | None = None
    failure: pb.Failure | None = None

    @property
    def started(self) -> bool:
        """Whether the function was run."""
        return self.failure is None or self.failure.kind == pb.FAILURE_KIND_RAISED

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.output or b"") + (self.failure.ByteSize() if self.failure is not None else 0)
