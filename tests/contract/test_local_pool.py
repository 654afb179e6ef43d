"""The pool of local processes keeps the contract of pools, with forked and with spawned workers."""

from gateway.testing.pool_suite import PoolCalling, PoolEnding, PoolStarting, WorkerPoolSuite


class TestForkedWorkers(WorkerPoolSuite):
    start_method = "fork"


class TestSpawnedWorkers(PoolStarting, PoolCalling, PoolEnding):
    start_method = "spawn"
