"""What was used longest ago goes first."""

from cache.recent import Recent


def test_the_one_used_longest_ago_is_forgotten() -> None:
    """Reading a value makes it the latest."""
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c"), len(recent)) == (1, None, 3, 2)
