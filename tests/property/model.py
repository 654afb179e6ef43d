"""The contract as a program: what every answer must be, and what every session, by design and not by implementation.

Nothing here knows of records, tasks or timers. Time is the number of seconds since the beginning; an event happens at
its moment. `docs/contract.md` is the source of each rule.
"""

from collections.abc import Callable
from functools import partial

from gateway.timing import STORE_END_SLIDE
from tests.property.facts import INFINITE, Answer, Call, ModelSession
from tests.property.world import (
    CAPACITY,
    JOURNAL_WINDOW,
    ORPHAN_GRACE,
    QUEUE_SIZE,
    QUEUE_TIME,
    VERSIONS,
)

MARGIN = 0.05
"""Seconds before a caller's deadline at which a call that still waits is answered."""


class Model:
    """All sessions and calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self.up = True
        self.down_since = 0.0
        self.sessions: list[ModelSession] = []
        self.waiting: list[Call] = []
        """Calls that wait for a worker, in order of arrival."""
        self.sharing: Call | None = None
        """The plain call in whose place all plain calls wait, for they share one worker. It may itself be gone."""
        self.first: dict[tuple[str, str], Call] = {}
        """What the gateway remembers of request_ids: the call that ran."""
        self.log: list[str] = []
        self.released: set[str] = set()
        """Tokens of calls that need not hold any more."""

    # --- calls ---

    def run(self, call: Call) -> None:
        """A call comes in."""
        first = self.first.get((call.owner, call.request_id)) if call.request_id else None
        if first is not None and first.answer is not None and first.done_at + JOURNAL_WINDOW <= self.now:
            first = None
        if first is None:
            if call.request_id:
                self.first[call.owner, call.request_id] = call
                call.callers = [call]
            self._begin(call)
        elif first.content != call.content:
            self._tell(call, Answer("RequestIdReused", "not_started"))
        elif first.answer is not None:
            self._replay(first, first.answer, call)
        else:
            first.callers.append(call)

    def _replay(self, first: Call, answer: Answer, call: Call) -> None:
        session = first.session_now
        shown = session.snapshot() if session is not None and answer.session is not None else None
        self._tell(call, Answer(answer.code, answer.run_state, answer.tape, answer.reason, shown))

    def _begin(self, call: Call) -> None:
        if isinstance(call.session, ModelSession):
            self._begin_in(call.session, call)
        elif call.wrong:
            self._finish(call, Answer(call.wrong, "not_started"))
        elif self.room() and not self.waiting:
            self._give_worker(call)
        else:
            call.gives_up = max(self.now, min(self.now + QUEUE_TIME, call.deadline - MARGIN))
            self.waiting.append(call)
            if call.session is None and self.sharing is None:
                self.sharing = call

    def _begin_in(self, session: ModelSession, call: Call) -> None:
        if call.wrong == "SessionNotFound":
            self._finish(call, Answer("SessionNotFound", "not_started"))
        elif session.status != "active":
            self._finish(call, self._over(session, "not_started"))
        elif call.wrong:
            self._finish(call, Answer(call.wrong, "not_started"))
        elif session.running is not None and len(session.queue) >= QUEUE_SIZE:
            self._finish(call, Answer("SessionBusy", "not_started"))
        else:
            session.deadline = self.now + session.timeout
            call.gives_up = max(self.now, call.deadline - MARGIN)
            session.queue.append(call)
            self._next(session)

    def _next(self, session: ModelSession) -> None:
        """Let calls that wait have their turn."""
        while session.status == "active" and session.running is None and session.queue:
            self._turn(session, session.queue.pop(0))

    def _turn(self, session: ModelSession, call: Call) -> None:
        call.started = True
        known = session.journal.get(call.request_id) if call.request_id else None
        if known is not None and known.content != call.content:
            self._end_call(session, call, Answer("RequestIdReused", "not_started"))
        elif known is not None:
            assert known.outcome is not None
            self._end_call(session, call, Answer(known.outcome.code, known.outcome.run_state, known.outcome.tape))
        elif call.expected is not None and call.expected != len(session.tape):
            self._end_call(session, call, Answer("CallCountMismatch", "not_started"))
        else:
            self._run_in(session, call)

    def _run_in(self, session: ModelSession, call: Call) -> None:
        """The worker has the call."""
        if call.mode == "refuse":
            self._end_call(session, call, Answer("InvalidInput", "not_started"))
            return
        session.tape.append(call.token)
        self.log.append(call.token)
        session.running = call
        if call.request_id:
            session.journal[call.request_id] = call
        if call.mode == "go" or (call.token in self.released and call.mode in {"hold", "stubborn"}):
            self._end_call(session, call, Answer("ok", "", list(session.tape)))
        elif call.mode == "fail":
            self._end_call(session, call, Answer("AppError", "completed"))
        elif call.mode == "die":
            self.lose(session)

    def _end_call(self, session: ModelSession, call: Call, answer: Answer | None) -> None:
        """A call of a session has ended; None when its function was cancelled."""
        session.running = None
        session.last_end = self.now
        if self.up:
            session.deadline = self.now + session.timeout
        if call.session == "new" and self.up and (answer is None or answer.code != "ok"):
            self._finish_session(session, "ended", "first_call_failed")
        if answer is not None:
            call.outcome = Answer(answer.code, answer.run_state, answer.tape)
            if answer.code == "ok" or call.session == "new":
                answer.session = session.snapshot()
                answer.reason = session.reason
            self._finish(call, answer)
        self._next(session)

    def _finish(self, call: Call, answer: Answer) -> None:
        """The call is answered, with all repeats that wait for it. One that was not started leaves no trace."""
        if call.answer is None:
            self._tell(call, answer)
        key = (call.owner, call.request_id)
        if not call.request_id or self.first.get(key) is not call:
            return
        repeats = [repeat for repeat in call.callers if repeat is not call]
        call.callers = []
        if answer.run_state == "not_started":
            del self.first[key]
        for repeat in repeats:
            if answer.run_state == "not_started":
                self.run(repeat)
            else:
                self._tell(repeat, answer)

    def _tell(self, call: Call, answer: Answer) -> None:
        call.answer, call.done_at = answer, self.now

    def _over(self, session: ModelSession, run_state: str) -> Answer:
        code = "SessionExpired" if session.status == "expired" else "SessionEnded"
        return Answer(code, run_state, reason=session.reason)

    def cancel(self, call: Call) -> None:
        """A caller goes away."""
        call.gone = True
        first = self.first.get((call.owner, call.request_id), call) if call.request_id else call
        if call in first.callers:
            first.callers.remove(call)
        elif first is not call:
            return
        if call.request_id and (first.callers or first.started):
            return
        self._drop(first)

    def _drop(self, call: Call) -> None:
        """Nobody waits for this call any more, and nothing was promised."""
        if call.request_id:
            del self.first[call.owner, call.request_id]
        if call in self.waiting:
            self._leave_line(call)
            return
        session = call.session_now
        assert session is not None
        if call in session.queue:
            session.queue.remove(call)
            session.deadline = self.now + session.timeout
        elif call.session == "new":
            self._finish_session(session, "ended", "first_call_failed")
            self._serve()
        elif call.mode != "stubborn":
            self._end_call(session, call, None)

    def release(self, call: Call) -> None:
        """The function of a call that holds goes on to its end, if it still runs."""
        session = call.session_now
        self.released.add(call.token)
        if session is not None and session.running is call and session.alive:
            self._end_call(session, call, Answer("ok", "", list(session.tape)))

    # --- workers ---

    def room(self) -> bool:
        """Whether a worker can be had at once."""
        return sum(session.status == "active" for session in self.sessions) < CAPACITY

    def _serve(self) -> None:
        """Give workers to those who wait, in their order. Plain calls share one, all at once."""
        while self.up and self.room() and self.waiting:
            call = self.waiting[0]
            served = [call]
            if call.session is None:
                served, self.sharing = [other for other in self.waiting if other.session is None], None
            self.waiting = [other for other in self.waiting if other not in served]
            for next_call in served:
                self._give_worker(next_call)

    def _leave_line(self, call: Call) -> None:
        """Wait no longer for a worker. The next plain call takes the place of one that kept it for all."""
        place = self.waiting.index(call)
        self.waiting.remove(call)
        if call is self.sharing:
            plain = [other for other in self.waiting if other.session is None]
            self.sharing = plain[0] if plain else None
            if plain:
                self.waiting.remove(plain[0])
                self.waiting.insert(place, plain[0])

    def _give_worker(self, call: Call) -> None:
        call.started = True
        if call.session is None:
            self._run_plain(call)
            return
        version = call.version or VERSIONS[call.app][-1]
        session = ModelSession(call.owner, call.app, version, call.timeout, self.now + call.timeout)
        session.blurred = call.gives_up < INFINITE
        call.opened = session
        self.sessions.append(session)
        self._run_in(session, call)
        self._serve()

    def _run_plain(self, call: Call) -> None:
        if call.mode != "refuse":
            self.log.append(call.token)
        answers = {
            "refuse": Answer("InvalidInput", "not_started"),
            "fail": Answer("AppError", "completed"),
            "die": Answer("WorkerLost", "unknown"),
        }
        self._finish(call, answers.get(call.mode) or Answer("ok"))

    # --- sessions ---

    def _finish_session(self, session: ModelSession, status: str, reason: str) -> None:
        """A session is over: who waits is told that nothing ran, and who runs that nobody knows."""
        running, queue = session.running, session.queue
        session.status, session.reason, session.running, session.queue = status, reason, None, []
        session.alive = False
        if running is not None:
            lost = reason == "worker_lost"
            self._finish(running, Answer("WorkerLost", "unknown") if lost else self._over(session, "unknown"))
        for call in queue:
            self._finish(call, self._over(session, "not_started"))

    def end(self, session: ModelSession) -> None:
        """EndSession, by the owner."""
        if session.status == "active":
            self._finish_session(session, "ended", "caller")
            self._serve()

    def keepalive(self, session: ModelSession) -> None:
        """Keepalive, by the owner."""
        if session.status == "active":
            session.deadline = self.now + session.timeout

    def lose(self, session: ModelSession) -> None:
        """The worker's process dies."""
        session.alive = False
        if self.up:
            self._finish_session(session, "ended", "worker_lost")
            self._serve()

    # --- gateways ---

    def crash(self) -> None:
        """The gateway dies: every caller sees a broken connection, calls that run go on, those that wait do not run."""
        self._cut(list(self.waiting))
        for session in self.active():
            self._cut([call for call in [session.running, *session.queue] if call is not None])
            session.left_busy, session.recorded = session.busy, session.count
            session.left = session.snapshot().in_flight
            session.queue = []
        self._down()

    def stop(self, *, end_sessions: bool) -> None:
        """SIGTERM, when the grace for calls is over."""
        self.up = False
        for call in self._take(self.waiting):
            # Whichever is seen first: that a worker became free too late, or that none does any more.
            self._finish(call, Answer("NoWorkerAvailable or GatewayDraining", "not_started"))
        for session in self.active():
            if session.running is not None and session.running.session == "new" and not session.adopted:
                self._finish_session(session, "ended", "first_call_failed")
            elif end_sessions:
                self._finish_session(session, "ended", "gateway_restarted")
            else:
                self._leave(session)
        self._down()

    def _leave(self, session: ModelSession) -> None:
        for call in self._take(session.queue):
            session.deadline = self.now + session.timeout
            self._finish(call, Answer("GatewayDraining", "not_started"))
        session.left_busy, session.recorded = session.busy, session.count
        if session.running is not None:
            session.perhaps = self.now + session.timeout
            self._finish(session.running, Answer("CallInterrupted", "unknown"))

    def _down(self) -> None:
        self.up, self.down_since, self.waiting, self.sharing = False, self.now, [], None
        self.first.clear()

    def _cut(self, calls: list[Call]) -> None:
        for call in calls:
            for caller in {call, *call.callers}:
                caller.gone = True
            call.callers = []

    def restart(self) -> None:
        """A gateway starts on what is there."""
        self.up = True
        for session in self.active():
            if session.alive and session.last_end > -INFINITE and session.left > session.snapshot().in_flight:
                session.deadline += STORE_END_SLIDE
            session.deadline = max(session.deadline, session.last_end + session.timeout)
            session.left = 0
            if not session.alive and (session.left_busy or session.deadline > self.now):
                session.unsure, session.running = session.left_busy, None
                self._finish_session(session, "ended", "worker_lost")
            session.left_busy, session.adopted = False, True
        self._expire()

    def active(self) -> list[ModelSession]:
        return [session for session in self.sessions if session.status == "active"]

    # --- time ---

    def advance(self, seconds: float) -> None:
        """Time passes, and each event happens at its moment."""
        target = self.now + seconds
        while True:
            moment, event = min(self._events(), key=lambda pair: pair[0], default=(INFINITE, None))
            if event is None or moment > target:
                break
            self.now = max(self.now, moment)
            event()
        self.now = target

    def _events(self) -> list[tuple[float, Callable[[], None]]]:
        if not self.up:
            return [
                (self.down_since + session.timeout + ORPHAN_GRACE, partial(self.lose, session))
                for session in self.active()
                if session.alive
            ]
        waiting = [(call.gives_up, partial(self._give_up, call)) for call in self.waiting]
        queued = [
            (call.gives_up, partial(self._give_up_turn, session, call))
            for session in self.active()
            for call in session.queue
        ]
        idle = [(session.deadline, self._expire) for session in self.active() if not session.busy]
        return [*waiting, *queued, *idle]

    def _give_up(self, call: Call) -> None:
        self._leave_line(call)
        self._finish(call, Answer("NoWorkerAvailable", "not_started"))

    def _give_up_turn(self, session: ModelSession, call: Call) -> None:
        session.queue.remove(call)
        session.deadline = self.now + session.timeout
        self._finish(call, Answer("SessionBusy", "not_started"))

    def _expire(self) -> None:
        for session in self.active():
            if session.deadline <= self.now and not session.busy:
                self._finish_session(session, "expired", "idle_timeout")
        self._serve()

    def _take(self, calls: list[Call]) -> list[Call]:
        taken = list(calls)
        calls.clear()
        return taken
