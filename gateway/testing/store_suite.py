"""The suite by which a session store proves itself: each sentence of `gateway.stores.base` is a test.

Subclass SessionStoreSuite in a test module and give it a fixture `store`, a fresh and open store for each test, and a
fixture `reopen`, which closes that store and returns one that was opened on what it left.
"""

from gateway.testing.store_events import StoreForgetting, StoreTelling, StoreWatching
from gateway.testing.store_failures import StoreRecovering, StoreRestoring
from gateway.testing.store_lives import StoreAdmitting, StoreAdopting, StoreEnding, StoreExpiring, StoreFinishing
from gateway.testing.store_races import StoreRacing
from gateway.testing.store_records import StoreCounting, StoreCreating, StoreKeeping, StorePaging


class SessionStoreSuite(
    StoreCreating,
    StoreAdmitting,
    StoreFinishing,
    StoreExpiring,
    StoreEnding,
    StoreCounting,
    StorePaging,
    StoreKeeping,
    StoreAdopting,
    StoreRacing,
    StoreTelling,
    StoreWatching,
    StoreForgetting,
    StoreRestoring,
    StoreRecovering,
):
    """Every promise of SessionStore. Needs the fixtures `store` and `reopen`."""
