"""Where a client connects to."""

import pytest

from sessiongateway import AsyncInference


@pytest.mark.parametrize(
    ("address", "text"),
    [("gateway", "HOST:PORT"), ("http://127.0.0.1:50151", "not a URL")],
)
def test_what_is_no_address_is_refused_when_the_client_is_made(address: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        AsyncInference(address=address)
