"""Tokens of pages and watches: opaque to callers, and good only for the caller and the query that they came from.

A token is its cursor behind a message authentication code (RFC 2104) of both, so nobody makes one up, and what a cursor
looks like is nobody's business (docs/adr/0038-principals.md).
"""

import base64
import binascii
import hmac
import secrets

from gateway.errors import InvalidRequest, Violation

KEY_BYTES = 32
_CODE_BYTES = 16


def query(method: str, principal: str, *words: str | None) -> bytes:
    """Return what a token is good for: bytes that no other query has, nor another caller's. `words` are the filter."""
    parts = (None if part is None else part.encode("utf-8", "surrogatepass") for part in (method, principal, *words))
    # With its length, so that what ends one part cannot be taken for the beginning of the next.
    return b"".join(b"-" if part is None else b"%d:%s" % (len(part), part) for part in parts)


class Tokens:
    """Makes and checks tokens. Whoever has the same key takes them too."""

    def __init__(self, key: bytes | None = None) -> None:
        """`key`: KEY_BYTES random bytes; None for a new one, for tokens that nobody else takes."""
        self._key = key or secrets.token_bytes(KEY_BYTES)

    def use(self, key: bytes) -> None:
        """Make and take tokens of this key from now on."""
        self._key = key

    def token(self, query: bytes, cursor: str) -> str:
        """Return the token of the page at that cursor; "" for no further page."""
        if not cursor:
            return ""
        data = cursor.encode()
        return base64.urlsafe_b64encode(self._code(query, data) + data).decode().rstrip("=")

    def cursor(self, token: str, query: bytes, field: str = "page_token") -> str:
        """Return the cursor in a token.

        Raises InvalidRequest for the field, with one text, when it is none, or one of another caller or query.
        """
        if not token:
            return ""
        try:
            data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            data = b""
        code, cursor = data[:_CODE_BYTES], data[_CODE_BYTES:]
        if not hmac.compare_digest(code, self._code(query, cursor)):
            raise invalid_token("is not a token that this gateway gave for this query: same caller, same filter", field)
        return cursor.decode()

    def _code(self, query: bytes, cursor: bytes) -> bytes:
        return hmac.digest(self._key, query + cursor, "sha256")[:_CODE_BYTES]


def invalid_token(why: str, field: str = "page_token") -> InvalidRequest:
    """Return the error of a token that cannot be used."""
    return InvalidRequest.of([Violation(field, why)])
