"""Tags: which words a call carries, and whose they are."""

import msgspec

from gateway.budgets.budget import Budget, tag_scope_id
from gateway.counters.interface import MAX_PUSD


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


def test_a_counter_is_named_by_the_changes_of_the_zone() -> None:
    """As it always was before the first; a total's window is the same in every zone."""
    budget = Budget(
        budget_id="bud_1",
        account_id="acct_1",
        scope="account",
        scope_id="acct_1",
        span="day",
        limit_pusd=1,
        created_ns=1,
    )
    changed = msgspec.structs.replace(budget, zone_changes=2)
    assert (budget.line_key, changed.line_key) == ("bud_1", "bud_1.2")
    assert msgspec.structs.replace(changed, span="total").line_key == "bud_1"
