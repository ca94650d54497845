"""A seal tells any damage, wherever it is."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_lonely.seal import BLANK_SEAL, is_whole, seal

BLANK = BLANK_SEAL.encode()
SOME = st.binary(max_size=100).filter(lambda content: b"sha256:" not in content)


@given(SOME, SOME)
def test_the_seal_is_the_sum_of_all_with_zeros_in_its_own_place(head: bytes, tail: bytes) -> None:
    sealed = seal(head + BLANK + tail)
    assert is_whole(sealed)
    digits = hashlib.sha256(head + BLANK + tail).hexdigest().encode()
    assert sealed == head + BLANK[:-64] + digits + tail


@given(SOME, st.integers(0), st.integers(1, 255))
def test_another_byte_anywhere_breaks_it(content: bytes, position: int, change: int) -> None:
    damaged = bytearray(seal(content + BLANK + content))
    damaged[position % len(damaged)] ^= change
    assert not is_whole(bytes(damaged))


def test_what_was_never_sealed_is_not_whole() -> None:
    assert not is_whole(b"")
    assert not is_whole(b"a file")
    assert not is_whole(BLANK)
    with pytest.raises(ValueError, match="no blank seal"):
        seal(b"a file")
    with pytest.raises(ValueError, match="no blank seal"):
        seal(seal(BLANK))
