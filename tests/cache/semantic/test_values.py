"""The defaults fit together."""

from cache.semantic.equivalence import digest, pack_digest
from cache.semantic.values import Settings, Stored


def test_what_is_described_was_searched() -> None:
    """And the bound is tried only on what the window holds."""
    settings = Settings()
    assert settings.described <= settings.searched
    assert settings.fewest_requests < settings.window
    assert 0 < settings.audit_share < 1 > settings.holdout_share > 0


def test_an_answer_is_read_when_it_is_asked_for() -> None:
    """What is no digest, as another version may have stored it, is no answer to compare with."""
    kept = digest("It is 42 kilometres long.", None)
    for packed, answer in ((pack_digest(kept), kept), (None, None), (b"\x90", None), (b"", None)):
        assert Stored(scope="s", text="How long?", packed=packed, group=1).answer == answer
