"""Handshakes of TLS and calls that are refused: counted, and told of in the log now and then."""

import asyncio
import enum
import logging
from collections import Counter
from dataclasses import dataclass

from gateway.timing import TLS_REFUSALS_TOLD

logger = logging.getLogger("gateway.rpc")


class Reason(enum.StrEnum):
    """Why. The values are those of a label of the metrics, so there are few."""

    NO_CERTIFICATE = enum.auto()
    """The client shows none, and one is required."""
    BAD_CERTIFICATE = enum.auto()
    """That of the client is of another authority, has expired, or is for another purpose."""
    REFUSED_BY_CLIENT = enum.auto()
    """The client says no, commonly because it does not trust the authority of the gateway's certificate."""
    NOTHING_IN_COMMON = enum.auto()
    """No version, cipher or kind of key that both sides know."""
    NO_TLS = enum.auto()
    """What came is no TLS: a client without it, or another protocol."""
    NO_HTTP2 = enum.auto()
    """The client does not offer `h2`, which gRPC needs."""
    TOO_SLOW = enum.auto()
    """The handshake was not finished in time."""
    OTHER = enum.auto()


_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": Reason.NO_CERTIFICATE,
    "CERTIFICATE_VERIFY_FAILED": Reason.BAD_CERTIFICATE,
    "HTTP_REQUEST": Reason.NO_TLS,
    "HTTPS_PROXY_REQUEST": Reason.NO_TLS,
    "WRONG_VERSION_NUMBER": Reason.NO_TLS,
    "PACKET_LENGTH_TOO_LONG": Reason.NO_TLS,
    "RECORD_TOO_SMALL": Reason.NO_TLS,
    "UNSUPPORTED_PROTOCOL": Reason.NOTHING_IN_COMMON,
    "VERSION_TOO_LOW": Reason.NOTHING_IN_COMMON,
    "UNKNOWN_PROTOCOL": Reason.NOTHING_IN_COMMON,
    "NO_SHARED_CIPHER": Reason.NOTHING_IN_COMMON,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": Reason.NOTHING_IN_COMMON,
    "NO_SUITABLE_KEY_SHARE": Reason.NOTHING_IN_COMMON,
    "NO_SHARED_SIGNATURE_ALGORITHMS": Reason.NOTHING_IN_COMMON,
    "NO_APPLICATION_PROTOCOL": Reason.NO_HTTP2,
}
"""By OpenSSL's names."""

_ALERT = "_ALERT_"
"""In OpenSSL's names of what the peer says before it closes."""


def reason_of(openssl: str) -> Reason:
    """Return the reason for an error of OpenSSL's, by its name (`SSLError.reason`)."""
    return _REASONS.get(openssl) or (Reason.REFUSED_BY_CLIENT if _ALERT in openssl else Reason.OTHER)


class Refusals:
    """Those of one server. Used on its event loop."""

    def __init__(self, reasons: type[enum.StrEnum] = Reason, what: str = "a TLS handshake with") -> None:
        """`what` is refused to a peer, as the log has it."""
        self._what = what
        # Present from the start: Prometheus does not see a number rise that was not there before.
        self.counts: Counter[str] = Counter({reason.value: 0 for reason in reasons})
        self._paused: dict[str, _Pause] = {}
        """By reason, so that many of one kind do not hide another."""

    def add(self, reason: enum.StrEnum, peer: str, why: str) -> None:
        """Count one. `peer` is its address, `why` what the log says."""
        self.counts[reason.value] += 1
        pause = self._paused.get(reason.value)
        if pause is None:
            self._log(reason.value, peer, why, 0)
        else:
            pause.untold += 1
            pause.last = peer, why

    def _log(self, reason: str, peer: str, why: str, more: int) -> None:
        # Not a warning: it is the peer's fault, and every scanner of ports would cause some.
        others = f", and {more} more of this kind since the last such line" if more else ""
        logger.info("refused %s %s: %s%s", self._what, peer, why, others)
        self._paused[reason] = _Pause()
        asyncio.get_running_loop().call_later(TLS_REFUSALS_TOLD, self._go_on, reason)

    def _go_on(self, reason: str) -> None:
        pause = self._paused.pop(reason)
        if pause.untold:
            self._log(reason, *pause.last, pause.untold - 1)


@dataclass(slots=True)
class _Pause:
    """A while in which refusals of one reason are not told."""

    untold: int = 0
    last: tuple[str, str] = ("", "")
