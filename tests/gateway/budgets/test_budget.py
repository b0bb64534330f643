"""Tags: which words a call carries, and whose they are."""

import pytest

from gateway.budgets.budget import Budget, join_tags, split_tags, tag_scope_id
from gateway.counters.interface import MAX_PUSD


@pytest.mark.parametrize(
    ("text", "tags"), [("", []), (" a , b,a,,", ["a", "b"]), ("one word", ["one word"]), (",", [])]
)
def test_tags_are_the_words_between_commas(text: str, tags: list[str]) -> None:
    """Each once, in their order, none empty."""
    assert split_tags(text) == tags


def test_a_keys_tags_come_first_and_once() -> None:
    """Without any of the key's own the text stays as it was sent."""
    assert join_tags((), " a , b") == " a , b"
    assert join_tags(("k", "a"), "a,b") == "k,a,b"


def test_a_tag_belongs_to_an_account() -> None:
    """The same word of two accounts is two tags; the word comes back, slashes included."""
    scope_ids = {tag_scope_id(owner, "a/b") for owner in ("acct_1", "acct_2", None)}
    assert len(scope_ids) == 3
    for scope_id in scope_ids:
        budget = Budget(
            budget_id="b", account_id=None, scope="tag", scope_id=scope_id, span="day", limit_pusd=1, created_ns=0
        )
        assert budget.tag == "a/b"


def test_what_alerts_refuses_nothing() -> None:
    """Its line has room for any amount that can be counted."""
    budget = Budget(
        budget_id="b",
        account_id=None,
        scope="key",
        scope_id="k",
        span="day",
        limit_pusd=5,
        action="alert",
        created_ns=0,
    )
    assert (budget.enforced_pusd, budget.tag) == (MAX_PUSD, None)
