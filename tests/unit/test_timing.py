"""The order of the timeouts that depend on one another."""

import ast
from pathlib import Path
from types import UnionType

import gateway
from gateway import timing
from gateway.config import MIN_HANG_TIMEOUT, Settings
from gateway.model import DEFAULT_SESSION_TIMEOUT, MAX_SESSION_TIMEOUT, MIN_SESSION_TIMEOUT
from sessiongateway import Pacing

GATEWAY = Path(gateway.__path__[0])
WAITING = {"sleep", "timeout", "call_later", "wait_for"}
"""Functions whose first argument is a number of seconds."""

NO_TIMEOUTS = {"_WIRE_ROUNDING", "_JITTER", "_FOR_EVER", "_A_TRACE"}
"""Numbers with a fraction that are not seconds."""


def test_two_renewals_of_a_hold_may_fail_before_it_lapses() -> None:
    assert timing.CALL_LEASE_RENEWAL * 2 < timing.CALL_LEASE


def test_the_lease_and_not_the_sweep_bounds_how_late_an_abandoned_session_expires() -> None:
    assert timing.EXPIRY_SWEEP <= timing.CALL_LEASE


def test_a_timer_comes_soon_after_the_deadline_of_the_shortest_session() -> None:
    assert 0 < timing.EXPIRY_SLACK < MIN_SESSION_TIMEOUT / 100


def test_an_end_that_waits_to_be_written_delays_an_expiry_by_less_than_the_shortest_session_lives() -> None:
    assert timing.STORE_END_DELAY < timing.STORE_END_SLIDE < MIN_SESSION_TIMEOUT / 2


def test_holds_are_renewed_in_time_although_a_redis_has_answered_nothing() -> None:
    assert timing.REDIS_REPLY + timing.STORE_PROBE + timing.REDIS_CONNECT < timing.CALL_LEASE_RENEWAL


def test_a_claim_outlives_some_inspections_and_the_failures_that_come_before_them() -> None:
    assert timing.STORE_INSPECTION * 3 + timing.REDIS_REPLY + timing.REDIS_CONNECT < timing.REDIS_CLAIM


def test_redis_remembers_a_gateway_for_as_long_as_any_session_may_live_without_it() -> None:
    assert timing.REDIS_WRITER >= MAX_SESSION_TIMEOUT


def test_a_purge_comes_before_redis_lets_go_of_a_record_by_itself() -> None:
    assert timing.PURGE_INTERVAL < timing.REDIS_RECORD_GRACE


def test_a_key_that_is_revoked_is_good_for_nothing_within_a_second_even_if_a_look_at_the_keys_fails() -> None:
    assert 0 < timing.KEYS_POLL <= 0.5
    assert timing.KEYS_POLL * 3 < 1


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


def test_a_worker_without_a_gateway_has_time_for_unload_before_the_kernel_ends_it() -> None:
    assert Settings().workers.end_grace + timing.TERM_GRACE < timing.ORPHAN_BLOCKED_GRACE


def test_an_orphan_knows_that_it_is_one_long_before_it_would_end() -> None:
    assert timing.ORPHAN_SETTLE * 5 <= timing.ORPHAN_BLOCKED_GRACE
    assert Settings().workers.orphan_grace >= timing.ORPHAN_SETTLE * 5


def test_a_gateway_that_is_restarted_finds_the_workers_of_the_shortest_sessions() -> None:
    workers, server = Settings().workers, Settings().server
    assert MIN_SESSION_TIMEOUT + workers.orphan_grace > workers.end_grace + timing.TERM_GRACE + timing.ADOPTION_PATIENCE
    assert workers.orphan_grace >= server.drain_grace  # one that is told to end meanwhile may drain first


def test_a_worker_waits_for_its_gateway_for_longer_than_that_waits_for_adopted_ones() -> None:
    assert timing.ADOPTION_PATIENCE < timing.WORKER_FIRST_CONTACT


def test_the_hold_of_a_call_in_flight_outlasts_a_gateway_that_hears_its_workers_out() -> None:
    assert timing.ADOPTION_PATIENCE < timing.CALL_LEASE_RENEWAL


def test_no_caller_waits_for_longer_than_a_shared_worker_is_replaced_for() -> None:
    assert Settings().workers.queue_time <= timing.SHARED_REPLACEMENT


def test_a_start_may_fail_within_the_time_that_someone_waits_for_it_or_goes_on_after_it() -> None:
    workers = Settings().workers
    assert timing.START_BACKOFF_FIRST < workers.queue_time <= workers.start_timeout


def test_ending_takes_less_than_draining_and_its_parts_less_than_the_whole() -> None:
    workers, server = Settings().workers, Settings().server
    assert timing.ZYGOTE_STOP <= timing.TERM_GRACE <= workers.end_grace <= server.drain_grace
    assert timing.SHUTDOWN_REPLY <= timing.ZYGOTE_STOP


def test_a_kept_answer_outlives_every_wait_of_the_call_that_it_is_of() -> None:
    settings = Settings()
    assert settings.workers.queue_time < settings.sessions.journal_window <= settings.sessions.retention


def test_what_is_looked_for_now_and_then_is_looked_for_within_a_session() -> None:
    assert timing.DEPLOYMENT_POLL <= timing.EXPIRY_SWEEP < timing.PURGE_INTERVAL
    assert timing.EXPIRY_SWEEP < DEFAULT_SESSION_TIMEOUT


def test_a_process_is_left_in_peace_for_longer_the_more_is_done_to_it() -> None:
    """One late heartbeat is no stall, a stall is no hang, and a hang is told of before anybody is killed."""
    assert 2 * timing.HEARTBEAT <= timing.LOOP_STALL < timing.HANG_COVER < MIN_HANG_TIMEOUT
    assert timing.HANG_LOOK <= timing.HEARTBEAT
    assert timing.HANG_COVER * 4 < timing.HANG_NOTICE <= Settings().server.hang_timeout / 3


def test_work_that_holds_the_loop_up_and_is_known_is_no_hang() -> None:
    assert timing.STORE_CHECK + timing.STORE_OPEN_PATIENCE < timing.HANG_NOTICE


def test_a_process_is_killed_and_there_again_before_its_calls_lose_their_workers() -> None:
    settings = Settings()
    assert settings.server.hang_timeout <= MIN_SESSION_TIMEOUT + settings.workers.orphan_grace


def test_files_of_a_pair_may_come_one_after_the_other_for_several_looks() -> None:
    assert timing.CERTIFICATE_SETTLE >= 5 * timing.CERTIFICATE_POLL


def test_a_certificate_that_was_replaced_is_in_use_within_a_second_also_when_half_of_a_pair_is_met_first() -> None:
    assert 2 * timing.CERTIFICATE_POLL <= 1


def test_a_handshake_takes_no_longer_than_what_is_said_first_after_it() -> None:
    assert timing.TLS_HANDSHAKE <= timing.HTTP2_GREETING


def test_every_timeout_of_the_gateway_stands_in_the_file_of_timeouts() -> None:
    """A number of seconds with a name of its own, or written where something waits, is one that stands elsewhere."""
    assert [found for path in GATEWAY.rglob("*.py") for found in timeouts_in(path)] == []


def timeouts_in(path: Path) -> list[str]:
    relative = path.relative_to(GATEWAY)
    if relative.parts[0] in {"cli", "testing", "config.py", "timing.py", "model.py"}:
        return []
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            waits = ast.unparse(node.func).rpartition(".")[2] in WAITING
            named = [keyword.value for keyword in node.keywords if "time" in (keyword.arg or "")]
            found += [
                number for number in [*(node.args[:1] if waits else []), *named] if is_positive(number, int | float)
            ]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) not in NO_TIMEOUTS:
            found += [node.value] if is_positive(node.value, float) else []
    return [f"{relative}:{number.lineno}" for number in found]


def is_positive(node: ast.expr, kind: type | UnionType) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, kind) and float(str(node.value)) > 0


def test_every_timeout_is_a_positive_number_of_seconds() -> None:
    numbers = {name: value for name, value in vars(timing).items() if name.isupper()}
    assert len(numbers) > 5
    assert all(isinstance(value, float | int) and value > 0 for value in numbers.values())
