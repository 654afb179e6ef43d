"""What callers may hear, and what not. Every time is of the wall clock, which callers and gateways share here."""

import time
from collections.abc import Sequence

from sessiongateway import (
    DeadlineExceededError,
    RunResult,
    SessionEndedError,
    SessionExpiredError,
    SessionGatewayError,
    SessionInfo,
    SessionNotFoundError,
    WorkerLostError,
)
from tools.chaos.known import Known
from tools.chaos.tally import Tally
from tools.chaos.troubles import Troubles

_ROUNDING = 0.002
"""Seconds by which two readings of one clock may differ here: gateways tell milliseconds."""


class Judge:
    """Compares answers with what is known, and counts what is wrong."""

    def __init__(self, tally: Tally, troubles: Troubles) -> None:
        self._tally = tally
        self._troubles = troubles

    def state(self, known: Known, tokens: Sequence[str], answers: Sequence[RunResult], sent: float) -> None:
        """Judge the answers to calls that were sent at the same time, or to one."""
        self._tally.calls += len(tokens)
        before = known.tokens
        longest = max((answer.output["in_memory"] for answer in answers), key=len)
        known.tokens = longest
        if longest[: len(before)] != before or sorted(longest[len(before) :]) != sorted(tokens):
            self._tally.wrong("wrong_answers", f"{known.id}: {len(longest)} tokens, not {len(before) + len(tokens)}")
        for token, answer in zip(tokens, answers, strict=True):
            there, in_file = answer.output["in_memory"], answer.output["in_file"]
            # Each call answers with all that ran before it, in one order, and itself.
            if there != longest[: len(there)] or there[-1:] != [token] or in_file[: len(there)] != there:
                self._tally.wrong("wrong_answers", f"{known.id}: {len(there)} tokens, out of order")
        assert answers[-1].session is not None
        self.window(known, answers[-1].session, sent)
        if len(tokens) == 1:  # else what waits is counted too, and a repeat whose answer was there is taken back later
            self.count(known, answers[0].session)

    def window(self, known: Known, session: SessionInfo, sent: float) -> None:
        """Judge until when a session lives, by an answer to what was sent at that moment."""
        assert session.expires_at is not None
        until = session.expires_at.timestamp()
        if session.status != "active" or until < sent + known.timeout - _ROUNDING:
            self._tally.wrong("wrong_answers", f"{known.id}: {session.status}, {until - sent:.3f} s left")
        known.promised = max(known.promised, until)

    def count(self, known: Known, session: SessionInfo | None) -> None:
        """Judge the number of calls, when no call of the session is under way."""
        if session is not None and session.status == "active" and session.call_count != len(known.tokens):
            what = f"{session.call_count} calls counted, {len(known.tokens)} ran"
            self._tally.wrong("wrong_answers", f"{known.id}: {what}")

    def over(self, known: Known, error: SessionGatewayError) -> None:
        """Judge why a session is said to be over. Its record is judged by `finished`."""
        if isinstance(error, SessionNotFoundError):
            self._tally.wrong("lost_without_reason", f"{known.id}: {error}")
        elif isinstance(error, WorkerLostError):
            self._reason(known, "worker_lost")
        elif isinstance(error, SessionEndedError):
            self._reason(known, error.end_reason)
        elif isinstance(error, DeadlineExceededError):
            self._tally.wrong("without_a_word", f"{known.id}: {error}")
        elif not isinstance(error, SessionExpiredError):
            self._tally.wrong("wrong_answers", f"{known.id}: {error.code}: {error}")

    def finished(self, known: Known, session: SessionInfo) -> None:
        """Judge the record of a session that ended otherwise than by its caller."""
        if session.status == "active":
            self._tally.wrong("living_on", f"{known.id}: over, its caller was told, and active on record")
        elif session.end_reason == "idle_timeout":
            self._expired(known, session)
        else:
            self._reason(known, session.end_reason)
            self._detected(known, session)

    def agreement(self, known: Known, records: Sequence[SessionInfo]) -> None:
        """Judge whether all gateways show a finished session alike: somebody ended it, once."""
        ends = {(each.status, each.end_reason, each.ended_at, each.expires_at, each.call_count) for each in records}
        if len(ends) > 1:
            self._tally.wrong("wrong_answers", f"{known.id}: its end differs from gateway to gateway: {ends}")

    def patience(self, known: Known) -> None:
        """Count a session that is active long after it was due."""
        self._tally.wrong("living_on", f"{known.id}: active {time.time() - known.promised:.1f} s after it was due")

    def told(self, error: SessionGatewayError) -> None:
        """Judge a refused call by itself: each says whether it ran."""
        if error.run_state not in ("not_started", "unknown", "completed"):
            self._tally.wrong("without_a_word", f"{error.code}: {error}, run state {error.run_state}")

    def _expired(self, known: Known, session: SessionInfo) -> None:
        assert session.expires_at is not None
        assert session.ended_at is not None
        due, ended = session.expires_at.timestamp(), session.ended_at.timestamp()
        if due < known.promised - _ROUNDING or ended < due - _ROUNDING:
            early = max(known.promised, due) - ended
            times = f"until {known.promised:.3f} it was told, due {due:.3f}, ended {ended:.3f}"
            self._tally.wrong("early_expiries", f"{known.id}: {early:.3f} s; {times}")
        if self._troubles.calm(due, ended):
            self._tally.latest_expiry = max(self._tally.latest_expiry, ended - due)
        else:
            late = ended - self._troubles.over_since(due, ended)
            self._tally.latest_expiry_after_trouble = max(self._tally.latest_expiry_after_trouble, late)

    def _reason(self, known: Known, reason: str | None) -> None:
        if reason != "worker_lost" or self._troubles.killed_at(known.worker_id) is None:
            self._tally.wrong("lost_without_reason", f"{known.id}: {reason}, and nobody killed {known.worker_id}")

    def _detected(self, known: Known, session: SessionInfo) -> None:
        """Note how long it took to see that a worker was killed, if all gateways were there all the while."""
        killed, with_node = (at(known.worker_id) for at in (self._troubles.killed_at, self._troubles.lost_with_node))
        if killed is None or session.ended_at is None:
            return
        took = session.ended_at.timestamp() - killed
        if with_node is not None:
            if self._troubles.attended(killed, killed + took):
                self._tally.node_losses += 1
                self._tally.slowest_node_detection = max(self._tally.slowest_node_detection, took)
        elif self._troubles.calm(killed, killed + took):
            self._tally.slowest_detection = max(self._tally.slowest_detection, took)
