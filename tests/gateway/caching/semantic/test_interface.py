"""What a look says of itself."""

from typing import Any

import pytest
from caches import AT_NS

from gateway.caching.semantic.interface import Kept, Look

KEPT = Kept(
    number=1, entry_id="ce_1", project_id="p", scope="p", key=b"k", model="gpt-4", tags=(), created_ns=AT_NS,
    expires_ns=AT_NS + 1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("decision", "entry", "is_hit"),
    [("serve", KEPT, True), ("audit", KEPT, True), ("serve", None, False), ("holdout", KEPT, False),
     ("shadow", KEPT, False), ("miss", KEPT, False)],
)  # fmt: skip
def test_only_what_is_served_is_a_hit(decision: str, entry: Any, is_hit: bool) -> None:
    """And only where its entry is still there."""
    look = Look(
        decision=decision, entry=entry, similarity=0.9, score=0.9, threshold=0.5, guards=(), neighbours=(), verdict=None
    )
    assert look.is_hit is is_hit
