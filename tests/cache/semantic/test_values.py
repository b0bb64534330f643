"""The defaults fit together."""

from cache.semantic.values import Settings


def test_what_is_described_was_searched() -> None:
    """And the bound is tried only on what the window holds."""
    settings = Settings()
    assert settings.described <= settings.searched
    assert settings.fewest_requests < settings.window
    assert 0 < settings.audit_share < 1 > settings.holdout_share > 0
