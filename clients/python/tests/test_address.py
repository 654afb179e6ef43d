"""Where a client connects to."""

import contextlib
import socket
import threading
from typing import Self

import pytest

from sessiongateway import AsyncInference, Inference, UnavailableError


@pytest.mark.parametrize(
    ("address", "text"),
    [("gateway", "HOST:PORT"), ("http://127.0.0.1:50151", "not a URL")],
)
def test_what_is_no_address_is_refused_when_the_client_is_made(address: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        AsyncInference(address=address)


def test_a_read_is_not_repeated_where_there_never_was_a_connection() -> None:
    with HangsUp() as peer, Inference(address=peer.address) as client:
        with pytest.raises(UnavailableError) as caught:
            client.sessions.get("sess_x")
        assert caught.value.run_state is None
        assert peer.address in caught.value.message
    assert peer.connections == 1


class HangsUp:
    """Takes every connection and ends it at once, as a server does that wants another kind of encryption."""

    def __init__(self) -> None:
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                connection.close()
