"""Sessions: their states, the only transitions, their ids, and the time that is left."""

import itertools
import re
from dataclasses import FrozenInstanceError, replace

import pytest

from gateway.model import (
    TRANSITIONS,
    AppRef,
    EndReason,
    Session,
    SessionStatus,
    new_call_id,
    new_session_id,
    new_worker_id,
)
from gateway.testing.store_harness import START, a_session


@pytest.mark.parametrize("reason", EndReason)
def test_an_active_session_can_end_for_every_reason(reason: EndReason) -> None:
    expired = reason is EndReason.IDLE_TIMEOUT
    wanted = SessionStatus.EXPIRED if expired else SessionStatus.ENDED
    assert TRANSITIONS[SessionStatus.ACTIVE, reason] is wanted


@pytest.mark.parametrize(
    ("status", "reason"), list(itertools.product([SessionStatus.ENDED, SessionStatus.EXPIRED], EndReason))
)
def test_a_finished_session_never_changes(status: SessionStatus, reason: EndReason) -> None:
    assert (status, reason) not in TRANSITIONS


def test_nothing_leads_back_to_active() -> None:
    assert SessionStatus.ACTIVE not in TRANSITIONS.values()
    assert set(TRANSITIONS) == {(SessionStatus.ACTIVE, reason) for reason in EndReason}


@pytest.mark.parametrize(("left", "elapsed"), [(60.0, 0), (0.5, 59.5), (0.0, 60), (0.0, 1000)])
def test_the_time_that_is_left_is_never_negative(left: float, elapsed: float) -> None:
    assert a_session().expires_in(START + elapsed) == left


@pytest.mark.parametrize("status", [SessionStatus.ENDED, SessionStatus.EXPIRED])
def test_a_finished_session_has_no_time_left(status: SessionStatus) -> None:
    assert replace(a_session(), status=status).expires_in(START) == 0.0


@pytest.mark.parametrize(
    ("new", "prefix", "bits"), [(new_session_id, "sess_", 128), (new_worker_id, "wrk_", 80), (new_call_id, "call_", 80)]
)
def test_ids_are_random_and_of_one_length(new: object, prefix: str, bits: int) -> None:
    assert callable(new)
    ids = {new() for _ in range(1000)}
    assert len(ids) == 1000
    letters = {len(id) - len(prefix) for id in ids}
    assert len(letters) == 1
    assert letters.pop() * 5 >= bits
    assert all(re.fullmatch(prefix + "[a-z2-7]+", id) for id in ids)


def test_every_place_of_an_id_takes_every_letter() -> None:
    ids = [new_session_id() for _ in range(2000)]
    for place in range(len("sess_"), len(ids[0])):
        assert len({id[place] for id in ids}) == 32


def test_a_session_is_frozen() -> None:
    session: Session = a_session()
    with pytest.raises(FrozenInstanceError):
        session.call_count = 5  # type: ignore[misc]


def test_an_app_version_reads_name_at_version() -> None:
    assert str(AppRef("acme/kv", "1.0")) == "acme/kv@1.0"
