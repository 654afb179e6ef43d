"""The suite by which a worker pool proves itself: each sentence of `gateway.workers.base` is a test.

Subclass WorkerPoolSuite, or some of its parts, in a test module and give it a fixture `start_pool`: called with
settings of `gateway.config.WorkerSettings`, it starts a pool on the fixture `clock`, with no workers kept ready unless
`min_idle` says so, and closes it after the test. Each pool that it starts finds what the one before has left.
`start_method` is how the apps' workers are to be started.
"""

from gateway.testing.pool_adopting import PoolAdopting
from gateway.testing.pool_calls import PoolCalling, PoolSharing
from gateway.testing.pool_endings import PoolEnding
from gateway.testing.pool_leases import PoolLeasing, PoolStarting
from gateway.testing.pool_limits import PoolLimiting
from gateway.testing.pool_streams import PoolStreaming


class WorkerPoolSuite(
    PoolStarting, PoolLeasing, PoolSharing, PoolCalling, PoolStreaming, PoolEnding, PoolAdopting, PoolLimiting
):
    """Every promise of WorkerPool. Needs the fixture `start_pool`."""
