"""How two ends of a TCP connection prove to each other that they know one key, before anything else is said.

Without I/O of its own: whoever has the connection writes what comes out, and hands in what has come. Each end sends a
hello with a nonce; the end that was dialled proves first, then the one that dialled:

    dials      HELLO (MAGIC, nonce)
    is dialled HELLO (MAGIC, nonce), PROOF
    dials      PROOF

A proof is HMAC-SHA256 over the role, the purpose of the connection and both nonces (challenge and response as in
ISO/IEC 9798-4, three passes): neither can be sent back to its maker, nor used again, nor for another purpose. It says
who is there when the connection begins. What is sent then is as safe as the network; beyond one that is trusted the
connection is to be in TLS.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

MAGIC = b"SGW\x01"
NONCE_BYTES = 32
PROOF_BYTES = hashlib.sha256().digest_size
HELLO_BYTES = len(MAGIC) + NONCE_BYTES

DIALLING, DIALLED = b"dialling", b"dialled"


class NotProven(Exception):
    """The other end does not know the key, or speaks of something else."""


@dataclass
class Handshake:
    """One end of it."""

    key: bytes = field(repr=False)
    """Known to both ends; at least 128 random bits."""
    purpose: bytes
    """What the connection is for and between whom, in words that both ends know: no proof is good for another."""
    dialling: bool
    proven: bool = field(default=False, init=False)
    """Whether the other end has proven itself. Before that nothing of it is to be believed."""
    rest: bytes = field(default=b"", init=False)
    """What came after the handshake, and belongs to whatever follows it."""

    def __post_init__(self) -> None:
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._theirs = b""
        self._come = b""

    def begin(self) -> bytes:
        """Return what is to be sent first; empty at the end that was dialled."""
        return MAGIC + self._nonce if self.dialling else b""

    def receive(self, data: bytes) -> bytes:
        """Take what has come, in pieces of any size, and return what is to be sent now.

        Raises NotProven. After that, and until `proven`, the connection is good for nothing else.
        """
        self._come += data
        answer = b""
        if not self._theirs:
            if not MAGIC.startswith(self._come[: len(MAGIC)]):
                raise NotProven("it does not begin with a hello of this kind")
            if len(self._come) < HELLO_BYTES:
                return b""
            self._theirs = self._take(HELLO_BYTES)[len(MAGIC) :]
            if not self.dialling:
                answer = MAGIC + self._nonce + self._proof(DIALLED)
        if len(self._come) >= PROOF_BYTES:
            expected = self._proof(DIALLED if self.dialling else DIALLING)
            if not hmac.compare_digest(self._take(PROOF_BYTES), expected):
                raise NotProven("it does not know the key, or the connection is meant for something else")
            self.proven, self.rest, self._come = True, self._come, b""
            if self.dialling:
                answer = self._proof(DIALLING)
        return answer

    def _take(self, count: int) -> bytes:
        taken, self._come = self._come[:count], self._come[count:]
        return taken

    def _proof(self, role: bytes) -> bytes:
        nonces = (self._nonce, self._theirs) if (role == DIALLING) == self.dialling else (self._theirs, self._nonce)
        parts = (role, self.purpose, *nonces)
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self.key, message, "sha256")


def derived(secret: bytes, what: str) -> bytes:
    """Return a key for one thing from a secret that is for many, of 32 bytes: one does not tell of another."""
    return hmac.digest(secret, b"key\0" + what.encode(), "sha256")
