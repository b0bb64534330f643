"""A stored question is read with its vector and what is kept of its answer."""

import numpy as np
import pytest
from questions import draw

from cache.semantic.equivalence import digest, unpack_digest
from gateway.caching.semantic.packing import Damaged, seal
from gateway.caching.semantic.vectors import pack, stack, unpack


def test_a_question_is_read_as_it_was_written() -> None:
    """The vector to 16 bits."""
    answer = digest("Paris is its capital, since 987.", draw("Paris"))
    read = unpack(pack("Who?", draw("Who?"), answer))
    assert read.text == "Who?"
    assert unpack_digest(read.answer or b"") == answer
    assert float(stack([read.vector])[0].astype(np.float32) @ draw("Who?")) == pytest.approx(1, abs=1e-3)
    assert unpack(pack("Who?", draw("Who?"), None)).answer is None


def test_a_vector_of_another_length_is_damaged() -> None:
    """As another embedder's would be."""
    with pytest.raises(Damaged, match="6 bytes"):
        unpack(pack("Who?", np.ones(3, np.float32), None))


@pytest.mark.parametrize("data", [b"", b"\0" * 40, seal(b"\x93"), seal(b"\xc0")])
def test_what_is_no_question_is_damaged(data: bytes) -> None:
    """With or without a right checksum."""
    with pytest.raises(Damaged):
        unpack(data)
