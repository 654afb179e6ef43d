"""The pool of workers on Ray keeps the contract of pools, on a cluster of three nodes."""

from gateway.testing.pool_suite import WorkerPoolSuite


class TestWorkersOnRay(WorkerPoolSuite):
    pass
