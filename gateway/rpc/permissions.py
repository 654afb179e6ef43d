"""Which scope of a key each method needs."""

from collections.abc import Iterable, Mapping

from gateway.auth.keys import Scope

NEEDS: Mapping[str, tuple[Scope, ...]] = {
    "ListApps": (Scope.READ,),
    "GetApp": (Scope.READ,),
    "GetSession": (Scope.READ,),
    "ListSessions": (Scope.READ,),
    "WatchSessions": (Scope.READ,),
    "Run": (Scope.EXECUTE,),
    "RunStream": (Scope.EXECUTE,),
    "Keepalive": (Scope.EXECUTE,),
    "StreamKeepalive": (Scope.EXECUTE,),
    "EndSession": (Scope.EXECUTE, Scope.ADMIN),
}
"""Any of these will do; the first is what the holder of a key without any is told to have added. A method that is not
here cannot be served at all.
"""

EVERYTHING = frozenset(NEEDS)
"""What callers may do where no keys are needed."""

_WITHIN = {Scope.READ: (), Scope.EXECUTE: (Scope.READ,), Scope.ADMIN: (Scope.READ,)}


def methods_of(scopes: Iterable[Scope]) -> frozenset[str]:
    """Return the methods that a key with these scopes may call."""
    granted = {each for scope in scopes for each in (scope, *_WITHIN[scope])}
    return frozenset(method for method, needs in NEEDS.items() if granted.intersection(needs))
