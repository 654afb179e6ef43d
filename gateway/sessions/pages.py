"""Tokens of pages and watches: opaque to callers, and good only for the query that they came from."""

import base64
import binascii
import hashlib

from gateway.errors import InvalidRequest, Violation
from gateway.stores.base import SessionFilter

_DIGEST_BYTES = 8


def page_token(filter: SessionFilter, cursor: str) -> str:
    """Return the token of the page at that cursor; "" for no further page."""
    if not cursor:
        return ""
    return base64.urlsafe_b64encode(_digest(filter) + cursor.encode()).decode().rstrip("=")


def cursor_of(token: str, filter: SessionFilter, field: str = "page_token") -> str:
    """Return the cursor in a token. Raises InvalidRequest for the field when it is none, or that of another query."""
    if not token:
        return ""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        digest, cursor = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:].decode("ascii")
    except (binascii.Error, ValueError):
        raise invalid_token("is not a token that this gateway gave", field) from None
    if digest != _digest(filter) or not cursor:
        raise invalid_token("is not a token that this gateway gave for this query: same caller, same filter", field)
    return cursor


def invalid_token(why: str, field: str = "page_token") -> InvalidRequest:
    """Return the error of a token that cannot be used."""
    return InvalidRequest.of([Violation(field, why)])


def _digest(filter: SessionFilter) -> bytes:
    status = filter.status.value if filter.status else ""
    parts = (filter.owner or "", status, filter.app or "", filter.version or "")
    return hashlib.sha256("\0".join(parts).encode()).digest()[:_DIGEST_BYTES]
