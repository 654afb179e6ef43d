"""Who calls, whether they may, and until when they wait."""

import asyncio
import hashlib
import logging
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from gateway.auth.keyring import Keyring
from gateway.auth.keys import Scope
from gateway.clock import Clock
from gateway.errors import PermissionDenied, RunState, Unauthenticated
from gateway.rpc.open_streams import OpenStreams
from gateway.rpc.permissions import EVERYTHING, NEEDS, methods_of
from gateway.rpc.raw import CALLS
from gateway.sessions.requests import Caller
from gateway.timing import KEYS_POLL
from gateway.trace import trace_of

logger = logging.getLogger("gateway.rpc")

ANONYMOUS = "anonymous"
_SCHEME = "bearer "

_WIRE_ROUNDING = 1.01
"""gRPC sends a deadline in few digits, rounded up by at most one percent; the caller's own clock gives up on time.
Measured with grpcio 1.83: 20 s arrive as 20.1 s, 300 s as 301 s."""

_REMEMBERED = 4096
_LONGEST_REMEMBERED = 256
"""How many callers are known by the metadata that they send, and how many characters that may have."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass(frozen=True, slots=True)
class Identity:
    """One who calls, worked out once from the metadata."""

    principal: str
    methods: frozenset[str] = EVERYTHING
    admin: bool = False
    until: float | None = None
    """When the key expires, in seconds by the wall clock."""


class Callers:
    """Tells callers apart and turns away who may not call.

    Without a keyring, and until that asks for keys, everybody may call: the caller is whatever bearer key it sends, or
    nobody in particular. With one, the caller is the key of the gateway's own that it shows.
    """

    def __init__(self, clock: Clock, keyring: Keyring | None = None) -> None:
        """Whoever gives a keyring runs `watch`."""
        self._clock = clock
        self._keyring = keyring
        self._known: dict[object, Identity] = {}
        self._streams = OpenStreams()

    def of(self, context: Context, method: str) -> Caller:
        """Return the caller of a method. Raises Unauthenticated and PermissionDenied."""
        metadata = context.invocation_metadata()
        identity = self._identity(_credential(metadata))
        if method not in identity.methods:
            permission = NEEDS[method][0].value
            raise PermissionDenied(
                f"this API key may not call {method}: it needs the scope {permission}",
                metadata={"permission": permission},
            )
        remaining: float | None = context.time_remaining()  # the stubs do not know that a caller may wait for ever
        deadline = None if remaining is None else self._clock.now().monotonic + remaining / _WIRE_ROUNDING
        return Caller(identity.principal, deadline, identity.admin, trace_of(metadata))

    def streaming(self, context: Context, method: str) -> AbstractAsyncContextManager[object]:
        """Return what has to be around a stream of answers: it ends the block, with Unauthenticated, when the caller
        would not be let in any more.
        """
        if self._keyring is None:
            return nullcontext()
        credential = _credential(context.invocation_metadata())
        identity = self._identity(credential)

        def is_good() -> bool:
            with suppress(Unauthenticated):
                return self._identity(credential) == identity
            return False

        # Of a function that runs nobody knows how far it has come.
        state = RunState.UNKNOWN if method in CALLS else None
        return self._streams.one(is_good, lambda: _refusal(state))

    def announce(self) -> None:
        """Log who is let in."""
        if self._keyring is None or not self._keyring.required:
            logger.info("callers need no API key")
        elif count := self._keyring.count(self._clock.now().wall):
            logger.info("callers need an API key; good ones: %d", count)
        else:
            logger.warning("callers need an API key, and none is good: sgw key create NAME --data-dir DIR")

    async def watch(self) -> None:
        """Take up what changes of the keys, until cancelled."""
        if self._keyring is None:
            return
        while True:
            await asyncio.sleep(KEYS_POLL)
            if await self._keyring.refresh():
                self._known.clear()
                self.announce()
            self._streams.look()

    def _identity(self, credential: object) -> Identity:
        try:
            identity = self._known[credential]
        except KeyError:
            identity = self._learned(credential)
        if identity.until is not None and self._clock.now().wall >= identity.until:
            raise _refusal()
        return identity

    def _learned(self, credential: object) -> Identity:
        shown = None if credential is None else _bearer_key(credential)
        if self._keyring is not None and self._keyring.required:
            identity = self._holder(self._keyring, shown)
        elif shown is None:
            identity = Identity(ANONYMOUS)
        else:
            identity = Identity("key:" + hashlib.sha256(shown.encode()).hexdigest()[:32])
        if not isinstance(credential, str) or len(credential) <= _LONGEST_REMEMBERED:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[credential] = identity
        return identity

    def _holder(self, keyring: Keyring, shown: str | None) -> Identity:
        key = None if shown is None else keyring.find(shown, self._clock.now().wall)
        if key is None:
            raise _refusal()
        until = None if key.expires_at is None else key.expires_at.timestamp()
        return Identity(key.id, methods_of(key.scopes), Scope.ADMIN in key.scopes, until)


def _credential(metadata: Any) -> object:
    """Return the authorization that came with a request: None for none, a tuple of them if there are several."""
    values = [value for key, value in metadata if key == "authorization"] if metadata else ()
    if not values:
        return None
    return values[0] if len(values) == 1 else tuple(values)


def _bearer_key(credential: object) -> str:
    if not isinstance(credential, str) or credential[: len(_SCHEME)].lower() != _SCHEME:
        raise Unauthenticated('the authorization metadata must be one "Bearer KEY"')
    key = credential[len(_SCHEME) :].strip()
    if not key or any(letter.isspace() for letter in key):
        raise Unauthenticated("the bearer key is empty, or has spaces in it")
    return key


def _refusal(run_state: RunState | None = None) -> Unauthenticated:
    """Return the error of all who are turned away, whatever is wrong with the key: who tries some learns nothing."""
    return Unauthenticated(
        'this gateway needs an API key that it has issued and that is good: "authorization: Bearer KEY"',
        run_state=run_state,
    )
