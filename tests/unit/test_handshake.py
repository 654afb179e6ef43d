"""Both ends of a connection prove that they know the key, whatever pieces the network cuts the bytes into."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.handshake import HELLO_BYTES, MAGIC, PROOF_BYTES, Handshake, NotProven, derived

KEY = bytes(range(32))


def ends(*, key: bytes = KEY, purpose: bytes = b"worker w1") -> tuple[Handshake, Handshake]:
    return Handshake(KEY, b"worker w1", dialling=True), Handshake(key, purpose, dialling=False)


def played(dials: Handshake, dialled: Handshake) -> None:
    answer = dialled.receive(dials.begin())
    assert dialled.receive(dials.receive(answer)) == b""


def test_who_knows_the_key_is_proven_to_the_other_end() -> None:
    dials, dialled = ends()
    played(dials, dialled)
    assert dials.proven
    assert dialled.proven


@given(st.integers(1, 40), st.binary(max_size=50))
def test_the_pieces_do_not_matter_and_what_follows_is_not_lost(size: int, following: bytes) -> None:
    dials, dialled = ends()
    answer = dialled.receive(dials.begin())
    said = b"".join(dials.receive(answer[at : at + size]) for at in range(0, len(answer), size)) + following
    rest = b""
    for at in range(0, len(said), size):
        piece = said[at : at + size]
        if dialled.proven:
            rest += piece
        else:
            assert dialled.receive(piece) == b""
            rest = dialled.rest
    assert dialled.proven
    assert rest == following


@pytest.mark.parametrize("other", [{"key": b"x" * 32}, {"purpose": b"worker w2"}])
def test_another_key_or_purpose_is_refused_by_both_ends(other: dict[str, bytes]) -> None:
    dials, dialled = ends(**other)
    answer = dialled.receive(dials.begin())
    with pytest.raises(NotProven):
        dials.receive(answer)
    assert not dials.proven
    with pytest.raises(NotProven):
        dialled.receive(b"\0" * PROOF_BYTES)
    assert not dialled.proven


def test_a_proof_that_is_sent_back_proves_nothing() -> None:
    dialled = Handshake(KEY, b"p", dialling=False)
    hello = MAGIC + b"\1" * 32
    own = dialled.receive(hello)[HELLO_BYTES:]
    with pytest.raises(NotProven):
        dialled.receive(own)


def test_a_proof_that_was_recorded_proves_nothing_later() -> None:
    dials, dialled = ends()
    hello = dials.begin()
    proof = dials.receive(dialled.receive(hello))
    again = ends()[1]
    again.receive(hello)
    with pytest.raises(NotProven):
        again.receive(proof)


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n", b"SGX", b"\0"])
def test_what_is_no_hello_is_refused_at_its_first_wrong_byte(garbage: bytes) -> None:
    with pytest.raises(NotProven):
        Handshake(KEY, b"p", dialling=False).receive(garbage)


def test_half_a_hello_is_neither_proven_nor_refused() -> None:
    dialled = Handshake(KEY, b"p", dialling=False)
    assert dialled.receive(MAGIC) == b""
    assert not dialled.proven


def test_derived_keys_differ_by_what_they_are_for() -> None:
    assert derived(KEY, "worker w1") != derived(KEY, "worker w2")
    assert len(derived(KEY, "worker w1")) == 32
