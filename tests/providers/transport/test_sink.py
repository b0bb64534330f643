"""The sink that wants nothing."""

from providers.errors import Truncated
from providers.transport.sink import NOBODY


def test_nobody_takes_everything():
    """After release or abort the rest of a body goes nowhere."""
    NOBODY.piece(b"x")
    NOBODY.ended(None)
    NOBODY.ended(Truncated("x"))
