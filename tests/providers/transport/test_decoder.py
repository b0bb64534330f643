"""Decompression in bounded slices."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import InvalidAnswer
from providers.transport.decoder import SLICE_BYTES, Decoder, choose_decoder


def drain(decoder: Decoder) -> list[bytes]:
    """Pull everything that is there."""
    pieces = []
    while piece := decoder.pull():
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize("name", [b"", b"identity"])
def test_identity_needs_no_decoder(name):
    """Plain bodies pass untouched."""
    assert choose_decoder(name) is None


@pytest.mark.parametrize("name", [b"br", b"zstd", b"gzip, gzip", b"compress", b"x" * 1000])
def test_other_encodings_are_refused(name):
    """What was not asked for cannot be read; the message stays short."""
    with pytest.raises(InvalidAnswer) as error:
        choose_decoder(name)
    assert len(error.value.message) < 200


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_no_slice_is_larger_than_its_limit(pack):
    """A megabyte of zeros comes 64 KiB at a time."""
    decoder = Decoder(is_gzip=pack is gzip.compress)
    decoder.push(pack(bytes(1 << 20)))
    sizes = [len(piece) for piece in drain(decoder)]
    assert sizes == [SLICE_BYTES] * 16
    assert decoder.whole


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.integers(1, 40))
def test_members_in_a_row_are_one_body(members, step):
    """Gzip may be concatenated, and cut anywhere."""
    packed = b"".join(map(gzip.compress, members))
    decoder = Decoder(is_gzip=True)
    out = []
    for start in range(0, len(packed), step):
        decoder.push(packed[start : start + step])
        out += drain(decoder)
    assert b"".join(out) == b"".join(members)
    assert decoder.whole


def test_an_unfinished_body_is_not_whole():
    """A stream that lacks its trailer was cut."""
    decoder = Decoder(is_gzip=True)
    decoder.push(gzip.compress(b"hello")[:-1])
    assert drain(decoder) == [b"hello"]
    assert not decoder.whole


def test_an_empty_body_is_whole():
    """No byte at all is an empty body."""
    assert Decoder(is_gzip=True).whole


@pytest.mark.parametrize("is_gzip", [True, False])
def test_noise_is_invalid(is_gzip):
    """Broken data raises at once."""
    decoder = Decoder(is_gzip=is_gzip)
    decoder.push(b"\xff\xff\xff\xff")
    with pytest.raises(InvalidAnswer):
        drain(decoder)


def test_nothing_may_follow_deflate():
    """A deflate body is one stream."""
    decoder = Decoder(is_gzip=False)
    decoder.push(zlib.compress(b"hello") + b"xy")
    with pytest.raises(InvalidAnswer, match="followed by 2"):
        drain(decoder)
