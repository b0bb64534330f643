"""Refusals: a kind for the surface, a message for the person."""

from gateway.accounts.tenancy.refusals import Refusal, RefusalKind


def test_a_refusal_says_what_and_where() -> None:
    """The surface needs the kind and the field, the person the message."""
    refusal = Refusal(RefusalKind.INVALID, "'x' is no e-mail address", "email")
    assert (refusal.kind, refusal.message, refusal.param) == (RefusalKind.INVALID, str(refusal), "email")


def test_kinds_are_distinct() -> None:
    """Two names of one value would be one kind."""
    assert len({kind.value for kind in RefusalKind}) == len(RefusalKind.__members__)
