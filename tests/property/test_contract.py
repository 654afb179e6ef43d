"""Random interleavings of all that callers, workers and gateways do, each answer compared with a model of the contract.

The steps are chosen by hypothesis, which shrinks whatever diverges to the shortest play. Profiles are in conftest.py.
"""

import asyncio
import math
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.apps.names import AppQuery
from gateway.errors import GatewayError
from gateway.model import Session, SessionStatus
from gateway.sessions.requests import Caller, RunRequest
from gateway.stores.base import SessionFilter
from tests.property.compare import LATE, compare, compare_answer, make_sure
from tests.property.facts import INFINITE, Answer, Call, ModelSession
from tests.property.model import Model
from tests.property.sending import request_of
from tests.property.world import CAPACITY, VERSIONS, World

OWNERS = ("ann", "bob")
TIMEOUTS = (2, 5, 20)
WAITS = (INFINITE, 0.03, 1.05, 3.05, 11.05)
"""Seconds that a caller waits, 50 ms of which are the gateway's margin."""
MODES = ("go", "go", "go", "hold", "hold", "hold", "stubborn", "fail", "refuse", "die")
WRONGS = ("SessionNotFound", "AppMismatch", "VersionMismatch", "FunctionNotFound", "WorkerNotFound", "AppNotFound")

LATTICE = 4096
"""Time moves in these parts of a second, so that sums of it are exact."""


owners = st.sampled_from(OWNERS)
modes = st.sampled_from(MODES)
waits = st.sampled_from(WAITS)
indexes = st.integers(0, 5)
request_ids = st.sampled_from(("", "", "r1", "r2"))


class ContractMachine(RuleBasedStateMachine):
    """Plays each step on the system and on the model, and compares everything after each."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.model = Model()
        self.calls: list[tuple[Call, asyncio.Task[Any]]] = []
        self.ids: dict[ModelSession, str] = {}
        self.tokens = 0
        self.forged: set[ModelSession] = set()
        self.walk: tuple[str, list[str]] | None = None

    @initialize(mode=st.sampled_from(("go", "hold", "stubborn")), rid=request_ids, timeout=st.sampled_from(TIMEOUTS))
    def start(self, *, mode: str, rid: str, timeout: int) -> None:
        self.world.start()
        self.send(Call(self.token(), mode, "ann", "tape", "", "new", timeout, rid), INFINITE)

    def teardown(self) -> None:
        self.world.close()

    # --- steps: calls ---

    @precondition(lambda self: self.model.up)
    @rule(owner=owners, mode=modes, wait=waits, rid=request_ids, timeout=st.sampled_from(TIMEOUTS), old=st.booleans())
    def call_new(self, *, owner: str, mode: str, wait: float, rid: str, timeout: int, old: bool) -> None:
        self.leave_window()
        version = "1" if old else ""
        self.send(Call(self.token(), mode, owner, "tape", version, "new", timeout, rid), wait)

    @precondition(lambda self: self.model.up)
    @rule(owner=owners, mode=st.sampled_from(("go", "fail", "refuse", "die")), wait=waits, rid=request_ids)
    def call_plain(self, *, owner: str, mode: str, wait: float, rid: str) -> None:
        self.leave_window()
        self.send(Call(self.token(), mode, owner, "other", request_id=rid), wait)

    @precondition(lambda self: self.model.up and self.model.sessions)
    @rule(
        index=indexes,
        mode=modes,
        wait=waits,
        rid=request_ids,
        expected=st.sampled_from((None, None, 0, 1)),
        latest=st.booleans(),
    )
    def call_in_session(
        self, *, index: int, mode: str, wait: float, rid: str, expected: int | None, latest: bool
    ) -> None:
        session = self.session(index)
        count = None if expected is None else len(session.tape) + expected
        call = Call(self.token(), mode, session.owner, session.app, session.version, session, 60, rid, count)
        if latest and session.version == VERSIONS[session.app][-1]:
            call.version = ""
        self.send(call, wait)

    @precondition(lambda self: self.model.up and self.model.sessions)
    @rule(index=indexes, wrong=st.sampled_from(WRONGS), rid=request_ids)
    def call_wrongly(self, *, index: int, wrong: str, rid: str) -> None:
        self.leave_window()
        session = self.session(index)
        call = Call(self.token(), "go", session.owner, session.app, session.version, session, 60, rid, wrong=wrong)
        if wrong == "AppNotFound":
            call.session, call.app = None, "none"
        elif wrong == "AppMismatch":
            call.app, call.version = "other", "1"
        elif wrong == "VersionMismatch":
            call.version = "2" if session.version == "1" else "1"
        elif wrong == "SessionNotFound":
            call.owner = OWNERS[1 - OWNERS.index(session.owner)]
        self.send(call, INFINITE)

    @precondition(lambda self: self.model.up and any(call.request_id for call, _ in self.calls))
    @rule(index=indexes, same=st.sampled_from((True, True, True, False)), wait=waits)
    def repeat(self, *, index: int, same: bool, wait: float) -> None:
        self.leave_window()
        known = [call for call, _ in self.calls if call.request_id]
        known.sort(key=lambda call: call.answer is None)  # those that run or wait are the likelier ones
        first = known[-1 - index % len(known)]
        again = Call(
            first.token if same else self.token(),
            first.mode,
            first.owner,
            first.app,
            first.version,
            first.session,
            first.timeout,
            first.request_id,
            first.expected,
            wrong=first.wrong,
        )
        self.send(again, wait)

    @precondition(lambda self: self.pending())
    @rule(index=indexes)
    def caller_leaves(self, *, index: int) -> None:
        self.leave_window()
        pending = self.pending()
        if not pending:
            return
        call, task = pending[index % len(pending)]
        task.cancel()
        self.model.cancel(call)
        self.settle()

    @precondition(lambda self: self.holding())
    @rule(index=indexes)
    def let_go_on(self, *, index: int) -> None:
        self.leave_window()
        holding = self.holding()
        if holding:
            call = holding[index % len(holding)]
            self.world.release(call.token)
            self.model.release(call)
            self.settle()

    # --- steps: sessions ---

    @precondition(lambda self: self.model.up and self.model.sessions)
    @rule(index=indexes, what=st.sampled_from(("get", "keepalive", "keepalive", "end")), foreign=st.booleans())
    def look_after(self, *, index: int, what: str, foreign: bool) -> None:
        session = self.session(index)
        owner = OWNERS[1 - OWNERS.index(session.owner)] if foreign else session.owner
        manager = self.world.gateway.manager
        ask = {"get": manager.get, "keepalive": manager.keepalive, "end": manager.end}[what]
        try:
            shown: Session | GatewayError = self.world.do(ask(self.ids[session], Caller(owner)))
        except GatewayError as error:
            shown = error
        if foreign:
            assert type(shown).__name__ == "SessionNotFound"
            assert str(shown) == f"there is no session {self.ids[session]}"
            return
        over = session.status != "active"
        if what == "keepalive":
            self.model.keepalive(session)
        elif what == "end":
            self.model.end(session)
        if over and what == "keepalive":
            expected = "SessionExpired" if session.status == "expired" else "SessionEnded"
            assert isinstance(shown, GatewayError)
            assert (type(shown).__name__, shown.end_reason) == (expected, session.reason)
        else:
            assert isinstance(shown, Session)
            compare(session.snapshot(), shown)
        self.settle()

    @precondition(lambda self: self.model.up and len(self.model.sessions) > 1)
    @rule(owner=owners, size=st.integers(1, 3), active=st.booleans())
    def list_all(self, *, owner: str, size: int, active: bool) -> None:
        self.leave_window()
        wanted = SessionFilter(owner=owner, status=SessionStatus.ACTIVE if active else None)
        found: list[str] = []
        token, more = "", True
        while more:
            page = self.world.do(self.world.gateway.manager.list(wanted, size, token, Caller(owner)))
            assert 0 < len(page.sessions) <= size or token == page.next_cursor == ""
            found += [session.id for session in page.sessions]
            token, more = page.next_cursor, bool(page.next_cursor)
        mine = [s for s in self.model.sessions if s.owner == owner and (not active or s.status == "active")]
        assert found == [self.ids[session] for session in reversed(mine)]

    @precondition(lambda self: self.model.up and len(self.model.sessions) > 1)
    @rule(size=st.integers(1, 2))
    def walk_on(self, *, size: int) -> None:
        """Turn one more page of a walk that goes on while everything changes."""
        if self.walk is None:
            self.walk = ("", [self.ids[session] for session in reversed(self.model.sessions)])
        token, expected = self.walk
        page = self.world.do(self.world.gateway.manager.list(SessionFilter(), size, token, Caller("admin", admin=True)))
        assert [session.id for session in page.sessions] == expected[:size]
        self.walk = (page.next_cursor, expected[size:]) if page.next_cursor else None
        assert bool(page.next_cursor) == bool(expected[size:])
        self.settle()

    # --- steps: time, workers, gateways ---

    @precondition(lambda self: self.model.active() or self.model.waiting)
    @rule(seconds=st.sampled_from((0.25, 1.0, 1.75, 4.0, 11.0)))
    def time_passes(self, *, seconds: float) -> None:
        self.advance_to(self.model.now + seconds)

    @precondition(lambda self: self.model.active())
    @rule(index=indexes, offset=st.sampled_from((-2, 1, 3, 12)))
    def time_passes_until_a_session_is_due(self, *, index: int, offset: int) -> None:
        """Stop just before, just after (its timer has not fired), or when it is sure to be seen."""
        active = self.model.active()
        target = math.ceil(active[index % len(active)].deadline * LATTICE) + offset
        if target / LATTICE > self.model.now:
            self.advance_to(target / LATTICE)

    @precondition(lambda self: any(session.alive for session in self.model.active()))
    @rule(index=indexes)
    def worker_dies(self, *, index: int) -> None:
        self.leave_window()
        alive = [session for session in self.model.active() if session.alive]
        if alive:
            session = alive[index % len(alive)]
            self.world.kill(self.worker(session))
            self.model.lose(session)
            self.settle()

    @precondition(lambda self: self.model.up and self.model.active())
    @rule()
    def gateway_crashes(self) -> None:
        self.leave_window()
        self.world.crash()
        self.model.crash()

    @precondition(lambda self: self.model.up and self.model.active())
    @rule(end=st.sampled_from((False, False, True)), owner=owners)
    def gateway_stops(self, *, end: bool, owner: str) -> None:
        self.leave_window()
        self.world.drain()
        late = Call(self.token(), "go", owner, "tape", "", "new")
        task = self.world.begin(RunRequest(AppQuery("tape"), payload=b"{}", session="new"), Caller(owner))
        late.answer = Answer("GatewayDraining", "not_started")
        self.calls.append((late, task))
        self.world.stop(end_sessions=end)
        self.model.stop(end_sessions=end)

    @precondition(lambda self: not self.model.up and any(session.alive for session in self.model.active()))
    @rule(index=indexes)
    def record_names_another_lease(self, *, index: int) -> None:
        """Its worker must not be taken for the session's, and must go."""
        alive = [session for session in self.model.active() if session.alive and session in self.ids]
        if alive:
            session = alive[index % len(alive)]
            self.world.forge(self.ids[session])
            self.model.lose(session)
            self.forged.add(session)

    @precondition(lambda self: not self.model.up)
    @rule()
    def gateway_starts(self) -> None:
        self.world.start()
        self.model.restart()
        self.settle()

    # --- comparing ---

    @invariant()
    def everything_is_as_the_contract_says(self) -> None:
        self.note_sessions()
        for call, task in self.calls:
            if not call.gone:
                compare_answer(call, task)
        self.calls = [(call, task) for call, task in self.calls if not task.done() or call.request_id]
        assert self.world.log == self.model.log
        self.compare_workers()

    def note_sessions(self) -> None:
        """Learn the ids of new sessions, and compare all records. A gateway that is down shows none."""
        if not self.model.up:
            return
        records = self.world.records()
        assert len(records) == len(self.model.sessions)
        for record, session in zip(records, self.model.sessions, strict=True):
            assert self.ids.setdefault(session, record.id) == record.id
            assert (record.owner, record.app.name, record.app.version) == (session.owner, session.app, session.version)
            if session.unsure:
                make_sure(session, record)
            if abs(record.deadline - 1000 - session.perhaps) < 1e-6:
                session.deadline = session.perhaps
            session.perhaps = -INFINITE
            if session.blurred:
                assert abs(record.deadline - 1000 - session.deadline) <= 4 * LATE
                session.deadline, session.blurred = record.deadline - 1000, False
            due = session.status == "expired" and session.deadline + LATE >= self.model.now
            if not (due and record.status.value == "active"):
                compare(session.snapshot(), record)

    def compare_workers(self) -> None:
        """One live worker for each active session, never used for another, with the state that the calls left."""
        leased = {p.session_id: p for p in self.world.machine.processes.values() if p.session_id}
        for process in leased.values():
            assert self.world.leases.setdefault(process.id, process.session_id) == process.session_id
        assert len(self.world.machine.processes) <= CAPACITY
        for session in [session for session in self.model.active() if session in self.ids]:
            found = leased.get(self.ids[session])
            forged = session in self.forged and not self.model.up
            assert (found is not None) == session.alive or forged
            if found is not None and session.alive:
                assert self.world.tokens_of(found.id) == session.tape
        expected = {self.ids[s] for s in self.model.active() if s in self.ids and s.alive}
        just_due = {
            self.ids[s]
            for s in self.model.sessions
            if s in self.ids and s.status == "expired" and s.deadline + LATE >= self.model.now
        }
        if self.model.up:
            assert leased.keys() - just_due == expected

    # --- parts ---

    def token(self) -> str:
        self.tokens += 1
        return f"t{self.tokens}"

    def session(self, index: int) -> ModelSession:
        """Return one of the sessions, the newest first."""
        return self.model.sessions[-1 - index % len(self.model.sessions)]

    def worker(self, session: ModelSession) -> str:
        processes = self.world.machine.processes.values()
        return next(process.id for process in processes if process.session_id == self.ids[session])

    def pending(self) -> list[tuple[Call, asyncio.Task[Any]]]:
        return [(call, task) for call, task in self.calls if call.answer is None and not call.gone]

    def holding(self) -> list[Call]:
        running = [session.running for session in self.model.active() if session.alive]
        return [call for call in running if call is not None]

    def send(self, call: Call, wait: float) -> None:
        if call.session is None and call.mode == "die" and (self.model.waiting or not self.model.room()):
            return  # the contract leaves open who comes next after a shared worker that died with many waiting for it
        if wait < INFINITE:
            call.deadline = self.model.now + wait
        request = request_of(call, self.ids)
        deadline = None if call.deadline == INFINITE else 1000 + call.deadline
        self.calls.append((call, self.world.begin(request, Caller(call.owner, deadline))))
        self.model.run(call)
        self.settle()

    def settle(self) -> None:
        self.world.settle()
        self.model.advance(0.0)

    def advance_to(self, moment: float) -> None:
        """Let time pass, but not into the moment in which a session is due and who waits has not got its worker."""
        target = math.ceil(moment * LATTICE) / LATTICE
        if self.model.waiting:
            while any(0 <= target - session.deadline <= LATE for session in self.model.active()):
                target += 8 / LATTICE
        seconds = target - self.model.now
        self.world.advance(seconds)
        self.model.advance(seconds)

    def leave_window(self) -> None:
        """Let every session be seen that is due: what follows depends on its worker."""
        if any(s.status == "expired" and s.deadline + LATE >= self.model.now for s in self.model.sessions):
            self.advance_to(self.model.now + 12 / LATTICE)
            self.note_sessions()


TestContract = ContractMachine.TestCase
# Seconds: many times what the plays take, so that what diverges can be shortened too.
pytestmark = pytest.mark.timeout(settings().max_examples)
