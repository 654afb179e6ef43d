"""Who calls, whether they may, and until when they wait."""

import asyncio
import hashlib
import logging
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from gateway.auth.certificates import Shown
from gateway.auth.credentials import Credentials
from gateway.auth.holders import Holder, NotLetIn, Reason
from gateway.auth.keys import Scope
from gateway.clock import Clock
from gateway.errors import PermissionDenied, RunState, Unauthenticated
from gateway.rpc.open_streams import OpenStreams
from gateway.rpc.peer_certificates import PeerCertificates
from gateway.rpc.permissions import EVERYTHING, NEEDS, methods_of
from gateway.rpc.raw import CALLS
from gateway.rpc.refusals import Refusals
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
"""How many callers are known by the metadata that they send, and how many characters that may have of those for whom
nobody has vouched."""
_LONGEST_VOUCHED_FOR = len(_SCHEME) + 8192
"""The same of others. Tokens are long, and nobody can make them up to fill the memory."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass(frozen=True, slots=True)
class Identity:
    """One who calls, worked out once from the metadata."""

    principal: str
    methods: frozenset[str] = EVERYTHING
    admin: bool = False
    until: float | None = None
    """When the credential expires, in seconds by the wall clock."""


class Callers:
    """Tells callers apart and turns away who may not call.

    Without credentials, and until those are required, everybody may call: the caller is whatever bearer key it sends,
    or nobody in particular. With them, the caller is the holder of the key or token that it sends; or if it sends none,
    of the certificate with which it has connected.
    """

    def __init__(self, clock: Clock, credentials: Credentials | None = None, refusals: Refusals | None = None) -> None:
        """Whoever gives credentials runs `watch`. `refusals` is told of callers that are not let in."""
        self._clock = clock
        self._credentials = credentials
        self._refusals = refusals
        self._certificates = PeerCertificates() if credentials is not None and credentials.by_certificate else None
        self._known: dict[object, Identity] = {}
        self._streams = OpenStreams()

    def of(self, context: Context, method: str) -> Caller:
        """Return the caller of a method. Raises Unauthenticated and PermissionDenied."""
        metadata = context.invocation_metadata()
        credential = _credential(metadata)  # as `_shown` does, but for each call: its metadata are read once
        if credential is None and self._certificates is not None:
            credential = self._certificates.of(context)
        try:
            identity = self._identity(credential)
        except NotLetIn as error:
            raise self._refused(error, context) from None
        if method not in identity.methods:
            permission = NEEDS[method][0].value
            raise PermissionDenied(
                f"this caller may not call {method}: it needs the scope {permission}",
                metadata={"permission": permission},
            )
        remaining: float | None = context.time_remaining()  # the stubs do not know that a caller may wait for ever
        deadline = None if remaining is None else self._clock.now().monotonic + remaining / _WIRE_ROUNDING
        return Caller(identity.principal, deadline, identity.admin, trace_of(metadata))

    def require_admin(self, context: Context, method: str) -> None:
        """Let in those who see everything. Raises Unauthenticated and PermissionDenied."""
        try:
            identity = self._identity(self._shown(context))
        except NotLetIn as error:
            raise self._refused(error, context) from None
        if self._credentials is not None and self._credentials.required and not identity.admin:
            permission = Scope.ADMIN.value
            raise PermissionDenied(
                f"this caller may not call {method}: it needs the scope {permission}",
                metadata={"permission": permission},
            )

    def streaming(self, context: Context, method: str) -> AbstractAsyncContextManager[object]:
        """Return what has to be around a stream of answers: it ends the block, with Unauthenticated, when the caller
        would not be let in any more.
        """
        if self._credentials is None:
            return nullcontext()
        credential = self._shown(context)

        def identity() -> Identity | None:
            with suppress(NotLetIn):
                return self._identity(credential)
            return None

        let_in = identity()
        # Of a function that runs nobody knows how far it has come.
        state = RunState.UNKNOWN if method in CALLS else None
        return self._streams.one(lambda: let_in is not None and identity() == let_in, lambda: self._refusal(state))

    def announce(self) -> None:
        """Log who is let in."""
        if self._credentials is None:
            logger.info("callers need no API key")
        else:
            self._credentials.announce(self._clock.now().wall)

    async def watch(self) -> None:
        """Take up what changes of the credentials, until cancelled."""
        while self._credentials is not None:
            await asyncio.sleep(KEYS_POLL)
            if await self.refresh():
                self.announce()
            self._streams.look()

    async def refresh(self) -> bool:
        """Look at what the credentials are in. Returns whether others are good now."""
        if self._credentials is None or not await self._credentials.refresh():
            return False
        self._known.clear()
        return True

    def _shown(self, context: Context) -> object:
        """Return the credential of a request."""
        credential = _credential(context.invocation_metadata())
        if credential is None and self._certificates is not None:
            credential = self._certificates.of(context)
        return credential

    def _identity(self, credential: object) -> Identity:
        try:
            identity = self._known[credential]
        except KeyError:
            identity = self._learned(credential)
        if identity.until is not None and self._clock.now().wall >= identity.until:
            self._known.pop(credential, None)
            raise NotLetIn(Reason.EXPIRED, "its credential has expired")
        return identity

    def _learned(self, credential: object) -> Identity:
        credentials = self._credentials
        vouched = credentials is not None and credentials.required
        identity = _unchecked(credential) if credentials is None or not vouched else self._held(credentials, credential)
        longest = _LONGEST_VOUCHED_FOR if vouched else _LONGEST_REMEMBERED
        if not isinstance(credential, str) or len(credential) <= longest:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[credential] = identity
        return identity

    def _held(self, credentials: Credentials, credential: object) -> Identity:
        now = self._clock.now().wall
        if credential is None or isinstance(credential, Shown):
            return _identity_of(credentials.of_certificate(credential, now))
        return _identity_of(credentials.of_bearer(_bearer_key(credential), now))

    def _refused(self, why: NotLetIn, context: Context) -> Unauthenticated:
        if self._refusals is not None:
            self._refusals.add(why.reason, context.peer(), str(why))
        return Unauthenticated(why.told) if why.told else self._refusal()

    def _refusal(self, run_state: RunState | None = None) -> Unauthenticated:
        """Return the error of all who are turned away, whatever is wrong: who tries some learns nothing."""
        assert self._credentials is not None
        return Unauthenticated(self._credentials.wanted, run_state=run_state)


def _identity_of(holder: Holder) -> Identity:
    return Identity(holder.principal, methods_of(holder.scopes), Scope.ADMIN in holder.scopes, holder.until)


def _unchecked(credential: object) -> Identity:
    """Return one whom nobody vouches for."""
    if credential is None:
        return Identity(ANONYMOUS)
    return Identity("key:" + hashlib.sha256(_bearer_key(credential).encode()).hexdigest()[:32])


def _credential(metadata: Any) -> object:
    """Return the authorization that came with a request: None for none, a tuple of them if there are several."""
    values = [value for key, value in metadata if key == "authorization"] if metadata else ()
    if not values:
        return None
    return values[0] if len(values) == 1 else tuple(values)


def _bearer_key(credential: object) -> str:
    if not isinstance(credential, str) or credential[: len(_SCHEME)].lower() != _SCHEME:
        raise _malformed('the authorization metadata must be one "Bearer KEY"')
    key = credential[len(_SCHEME) :].strip()
    if not key or any(letter.isspace() for letter in key):
        raise _malformed("the bearer key is empty, or has spaces in it")
    return key


def _malformed(told: str) -> NotLetIn:
    return NotLetIn(Reason.MALFORMED, "its authorization is malformed", told)
