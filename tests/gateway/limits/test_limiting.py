"""What limits callers, in one hand."""

from limiting import make_gate

from gateway.limits.limiting import Limiting


def test_a_gate_alone_limits_neither_strangers_nor_sign_ins() -> None:
    """Whoever builds a gateway says that it should."""
    limiting = Limiting(gate=make_gate())
    assert (limiting.strangers, limiting.attempts) == (None, None)
