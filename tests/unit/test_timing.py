"""The order of the timeouts that depend on one another."""

from gateway import timing
from gateway.config import Settings
from gateway.model import DEFAULT_SESSION_TIMEOUT, MAX_SESSION_TIMEOUT, MIN_SESSION_TIMEOUT
from sessiongateway import Pacing


def test_two_renewals_of_a_hold_may_fail_before_it_lapses() -> None:
    assert timing.CALL_LEASE_RENEWAL * 2 < timing.CALL_LEASE


def test_the_lease_and_not_the_sweep_bounds_how_late_an_abandoned_session_expires() -> None:
    assert timing.EXPIRY_SWEEP <= timing.CALL_LEASE


def test_a_timer_comes_soon_after_the_deadline_of_the_shortest_session() -> None:
    assert 0 < timing.EXPIRY_SLACK < MIN_SESSION_TIMEOUT / 100


def test_the_margin_before_a_callers_deadline_leaves_most_of_an_interactive_one() -> None:
    assert 0 < timing.DEADLINE_MARGIN <= 0.1


def test_a_tombstone_outlives_its_retention_by_little() -> None:
    assert Settings().sessions.retention / 100 > timing.PURGE_INTERVAL


def test_a_second_start_is_tried_after_a_growing_pause() -> None:
    assert 0 < timing.START_BACKOFF_FIRST < timing.START_BACKOFF_MAX


def test_the_hint_for_a_retry_is_shorter_than_the_queue_time() -> None:
    assert 0 < timing.RETRY_HINT < Settings().workers.queue_time


def test_the_limits_of_a_session_timeout_are_those_of_the_contract() -> None:
    assert (MIN_SESSION_TIMEOUT, DEFAULT_SESSION_TIMEOUT, MAX_SESSION_TIMEOUT) == (1, 60, 3600)


def test_a_watch_looks_into_the_store_often_between_its_quiet_messages() -> None:
    assert timing.WATCH_POLL * 10 <= timing.WATCH_QUIET


def test_a_quiet_watch_gets_a_fresh_token_long_before_its_old_one_is_forgotten() -> None:
    assert Settings().sessions.retention / 100 > timing.WATCH_QUIET


def test_a_client_takes_a_watch_for_broken_only_after_several_messages_failed_to_come() -> None:
    assert Pacing().watch_timeout > 3 * timing.WATCH_QUIET


def test_a_renewal_of_holds_that_waits_for_a_locked_store_is_still_in_time() -> None:
    assert timing.STORE_BUSY_FIRST < timing.STORE_BUSY_LAST < timing.STORE_BUSY_PATIENCE
    assert 2 * timing.CALL_LEASE_RENEWAL + timing.STORE_BUSY_PATIENCE < timing.CALL_LEASE


def test_who_sends_a_call_again_when_told_to_meets_a_store_that_was_tried_meanwhile() -> None:
    assert timing.STORE_PROBE < timing.RETRY_HINT


def test_every_timeout_is_a_positive_number_of_seconds() -> None:
    numbers = {name: value for name, value in vars(timing).items() if name.isupper()}
    assert len(numbers) > 5
    assert all(isinstance(value, float | int) and value > 0 for value in numbers.values())
