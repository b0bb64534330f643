"""What a look says of itself."""

from typing import Any

import pytest
from caches import AT_NS
from fakes import CALLER, TESTER

from gateway.caching.policy import Wishes, combine
from gateway.caching.semantic.interface import Asker, Kept, Look, find_asker
from gateway.config.settings import Cache

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


def test_a_judge_is_asked_for_live_keys_of_who_has_one() -> None:
    """What the sandbox makes up for a test key is worth no call."""
    none, some = (combine(Cache(semantic_judge_model=name), Wishes()) for name in ("", "own"))
    assert find_asker(none, CALLER, "t", "s") is None
    assert find_asker(some, TESTER, "t", "s") is None
    assert find_asker(some, CALLER, "t", "s") == Asker(model="own", caller=CALLER, tags="t", session="s")
