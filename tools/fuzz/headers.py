"""What comes in the metadata of a request, and the file of the keys that it may have to show."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st

from gateway.auth.credentials import Credentials
from gateway.auth.keyfile import KeyFile, KeysUnusable
from gateway.auth.keyring import Demand, Keyring
from gateway.auth.keys import Scope, new_key
from gateway.errors import PermissionDenied, Unauthenticated
from gateway.rpc.callers import Callers
from gateway.rpc.permissions import NEEDS
from gateway.testing.clock import FakeClock
from tools.fuzz.engine import Target, no_leak
from tools.fuzz.inputs import ODD_TEXTS, mutated

_NAMES = ["authorization", "authorization", "traceparent", "tracestate", "baggage", "x"]
_TRACES = ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1,b=2", "a=%20;p=1"]

Metadata = tuple[tuple[str, str], ...]


class Request:
    """Stands for an RPC's context."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> Metadata:
        """Return what was drawn."""
        return self._metadata

    def time_remaining(self) -> None:
        """No deadline."""


def targets(directory: Path) -> list[Target]:
    """Return one for metadata, and one for the file of keys."""
    directory.mkdir()
    key, shown = new_key("fuzz", [Scope.READ], datetime(2023, 1, 1, tzinfo=UTC), None)
    file = KeyFile(directory)
    with file.changing() as keys:
        keys[key.id] = key
    (path,) = directory.glob("*.json")
    whole = path.read_bytes()
    everybody = [Callers(FakeClock()), Callers(FakeClock(), Credentials(Keyring(file, Demand.ALWAYS)))]

    def metadata(asked: tuple[Metadata, str]) -> None:
        for callers in everybody:
            try:
                callers.of(cast(Any, Request(asked[0])), asked[1])
            except (Unauthenticated, PermissionDenied) as error:
                no_leak(error.message.replace(shown, "<Key object at 0x0>"))  # which is not for the log either

    def keys_file(data: bytes) -> None:
        path.write_bytes(data)
        try:
            file.read()
        except KeysUnusable as error:
            no_leak(str(error))
        finally:
            path.write_bytes(whole)

    return [
        Target("metadata", st.tuples(_metadata(shown), st.sampled_from(sorted(NEEDS))), metadata),
        Target("key_file", mutated(st.just(whole)), keys_file),
    ]


def _metadata(shown: str) -> st.SearchStrategy[Metadata]:
    good = st.sampled_from([f"Bearer {shown}", "Bearer x", "Basic eA==", *_TRACES]).map(str.encode)
    values = mutated(good).map(lambda data: data.decode("latin-1")) | ODD_TEXTS
    return st.lists(st.tuples(st.sampled_from(_NAMES), values), max_size=4).map(tuple)
