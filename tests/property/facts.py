"""What the model knows of calls and sessions."""

from dataclasses import dataclass, field

INFINITE = float("inf")


@dataclass
class Answer:
    """How a call is answered. `session` is how the answer must show it."""

    code: str
    run_state: str = ""
    tape: list[str] | None = None
    reason: str = ""
    """Why the session is over."""
    session: "Snapshot | None" = None


@dataclass(frozen=True)
class Snapshot:
    """A session at one moment."""

    status: str
    reason: str
    count: int
    deadline: float
    in_flight: int


@dataclass(eq=False)
class Call:
    """One Run of one caller. `session` is None for a plain call, "new", or the session."""

    token: str
    mode: str
    owner: str
    app: str
    version: str = ""
    session: "ModelSession | str | None" = None
    timeout: int = 60
    request_id: str = ""
    expected: int | None = None
    deadline: float = INFINITE
    wrong: str = ""
    """What is wrong with the request, by which it must be refused."""
    answer: Answer | None = None
    outcome: Answer | None = None
    """What the worker remembers of it, if it ran in a session."""
    gone: bool = False
    """The caller went away, or its connection broke: nobody sees an answer."""
    done_at: float = 0.0
    gives_up: float = INFINITE
    callers: list["Call"] = field(default_factory=list)
    """Of the first call with a request_id: itself and its repeats, as long as they wait."""
    started: bool = False
    opened: "ModelSession | None" = None
    """By a "new": the session."""

    @property
    def session_now(self) -> "ModelSession | None":
        """The session in which it runs or waits."""
        return self.opened or (self.session if isinstance(self.session, ModelSession) else None)

    @property
    def content(self) -> tuple[object, ...]:
        """What a repeat must have in common with the first."""
        return (self.token, self.mode, self.app, self.version, self.session, self.timeout, self.expected, self.wrong)


@dataclass(eq=False)
class ModelSession:
    """A session as its caller may imagine it."""

    owner: str
    app: str
    version: str
    timeout: int
    deadline: float
    tape: list[str] = field(default_factory=list)
    """The calls that ran in it: its state."""
    status: str = "active"
    reason: str = ""
    running: Call | None = None
    queue: list[Call] = field(default_factory=list)
    journal: dict[str, Call] = field(default_factory=dict)
    alive: bool = True
    """Its process is there."""
    last_end: float = -INFINITE
    perhaps: float = -INFINITE
    """Its deadline, if the interruption of a call counts as the call's end. The contract does not say."""
    blurred: bool = False
    """Opened at a moment that is known to a millisecond only: as soon as another one had expired."""
    adopted: bool = False
    """By another gateway than the one that opened it."""
    left_busy: bool = False
    """Calls were in flight when its gateway went. If its worker goes too, nobody knows how they fared."""
    left: int = 0
    """How many calls were in flight when its gateway died. Of those that are not any more, the end may have been told
    without being on record, up to STORE_END_SLIDE after what the record has."""
    recorded: int = 0
    """Its count of calls when its gateway went."""
    extra: int = 0
    """Of those, the calls that it counts although they did not run."""
    unsure: bool = False
    """It was lost with gateway and worker at once: it may count as expired, and calls that waited may count."""

    @property
    def busy(self) -> bool:
        return self.running is not None or bool(self.queue)

    @property
    def count(self) -> int:
        return len(self.tape) + len(self.queue) + self.extra

    def snapshot(self) -> Snapshot:
        in_flight = len(self.queue) + (self.running is not None)
        return Snapshot(self.status, self.reason, self.count, self.deadline, in_flight)
