"""How a budget says no, in every document's words."""

from typing import Any

import msgspec
import pytest
from budget_world import make_budget

from gateway.budgets.refusal import moment_text, refuse_for_budget, refuse_for_cap, refuse_unbounded
from gateway.counters.interface import LineState
from gateway.envelope import fault_headers, render

STATE = LineState(
    budget_key="b", window_key="1", limit_pusd=10**12, spent_pusd=6, held_pusd=5 * 10**11, resets_ns=86_400 * 10**9
)


def told(fault: Any, surface: Any) -> tuple[int, Any]:
    """Status and body of a fault on a surface."""
    status, body = render(fault, surface, "0" * 26)
    return status, msgspec.json.decode(body)


def test_the_interfaces_words() -> None:
    """402, the type of a spent quota, and the figures as exact decimals."""
    fault = refuse_for_budget(make_budget(budget_id="bud_1", limit_pusd=10**12), STATE, 7)
    status, body = told(fault, "W")
    assert status == 402
    assert (body["error"]["type"], body["error"]["code"]) == ("insufficient_quota", "spending_limit")
    assert body["error"]["details"] == {
        "budget_id": "bud_1",
        "limit_usd": "1",
        "spent_usd": "0.000000000006",
        "held_usd": "0.5",
        "resets_at": "1970-01-02T00:00:00Z",
    }
    assert "0.000000000007" in body["error"]["message"]
    assert fault_headers(fault) == [("x-should-retry", "false")]


@pytest.mark.parametrize(
    ("span", "written"), [("hour", "USD an hour on"), ("day", "USD a day on"), ("total", "USD on the project")]
)
def test_the_window_is_named_as_one_says_it(span: Any, written: str) -> None:
    """With its article, and not where there is none."""
    assert written in refuse_for_budget(make_budget(span=span), STATE, 7).message


@pytest.mark.row("A54")
def test_document_a_names_a_spending_limit() -> None:
    """402 SPENDING_LIMIT in document A's envelope."""
    status, body = told(refuse_for_cap(1, 2), "A")
    assert (status, body["code"]) == (402, "SPENDING_LIMIT")
    assert isinstance(body["error"], str)
    assert body["details"]["limit_usd"] == "0.000000000001"


@pytest.mark.row("A57")
def test_document_a_names_missing_credits() -> None:
    """402 INSUFFICIENT_CREDITS in document A's envelope, where the balance refuses."""
    credit = make_budget(kind="credits", scope="account", span="total")
    status, body = told(refuse_for_budget(credit, STATE, 7), "A")
    assert (status, body["code"]) == (402, "INSUFFICIENT_CREDITS")
    assert isinstance(body["error"], str)
    assert told(refuse_for_budget(credit, STATE, 7), "W")[1]["error"]["code"] == "insufficient_credits"
    # A part of it may only be held.
    assert "has no room: 0.000000000006 spent, 0.5 held" in refuse_for_budget(credit, STATE, 7).message


@pytest.mark.parametrize(("surface", "status", "code"), [("S", 403, "FORBIDDEN"), ("E", 429, "spending_limit")])
def test_other_documents_have_their_own_words(surface: Any, status: int, code: str) -> None:
    """Row C2's table."""
    answered, body = told(refuse_for_cap(1, 2), surface)
    assert (answered, body["error"]["code"]) == (status, code)


def test_what_cannot_be_bounded_says_why() -> None:
    """And which budget asks, or the header."""
    budget = make_budget(budget_id="bud_1")
    assert "bud_1" in refuse_unbounded(budget, None, "x").message
    assert "x-watchllm-max-cost-usd" in refuse_unbounded(None, 5, "x").message
    assert refuse_unbounded(None, 5, "x").details["budget_id"] is None


def test_a_total_never_resets() -> None:
    """Null, where others have a moment in UTC."""
    assert (moment_text(None), moment_text(10**18)) == (None, "2001-09-09T01:46:40Z")
