"""The pool of local processes keeps the contract of pools, with forked and with spawned workers."""

from gateway.testing.pool_adopting import PoolAdopting
from gateway.testing.pool_endings import PoolEnding
from gateway.testing.pool_leases import PoolLeasing, PoolStarting
from gateway.testing.pool_limits import LimitFixtures, PoolLimiting
from gateway.testing.pool_suite import WorkerPoolSuite


class TestForkedWorkers(WorkerPoolSuite):
    start_method = "fork"


class TestSpawnedWorkers(PoolStarting, PoolEnding):
    """What depends on how a worker's process is made; beyond that spawned workers run the same code as forked ones."""

    start_method = "spawn"
    test_isolation = PoolLeasing.test_nothing_crosses_from_one_lease_to_another
    test_adoption = PoolAdopting.test_a_leased_worker_that_was_kept_is_adopted_with_its_state


class TestLimitsOfSpawnedWorkers(LimitFixtures):
    """The limits take the same way into a fresh interpreter."""

    start_method = "spawn"
    test_memory = PoolLimiting.test_a_function_that_takes_more_memory_than_its_process_may_fails_and_the_worker_goes_on
    test_together = PoolLimiting.test_a_worker_within_its_limits_is_left_alone
    test_calls = PoolLimiting.test_a_call_that_takes_too_long_is_cancelled_and_its_worker_goes_on
    test_daemons = PoolLimiting.test_processes_that_have_left_the_group_of_a_worker_go_with_it
