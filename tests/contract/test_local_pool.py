"""The pool of local processes keeps the contract of pools, with forked and with spawned workers."""

from gateway.testing.pool_adopting import PoolAdopting
from gateway.testing.pool_endings import PoolEnding
from gateway.testing.pool_leases import PoolLeasing, PoolStarting
from gateway.testing.pool_suite import WorkerPoolSuite


class TestForkedWorkers(WorkerPoolSuite):
    start_method = "fork"


class TestSpawnedWorkers(PoolStarting, PoolEnding):
    """What depends on how a worker's process is made; beyond that spawned workers run the same code as forked ones."""

    start_method = "spawn"
    test_isolation = PoolLeasing.test_nothing_crosses_from_one_lease_to_another
    test_adoption = PoolAdopting.test_a_leased_worker_that_was_kept_is_adopted_with_its_state
