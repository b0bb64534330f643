"""How a budget says no: 402, with what the caller needs to know of the limit that was met."""

from datetime import UTC, datetime, timedelta

from gateway.budgets.budget import Budget
from gateway.counters.interface import LineState
from gateway.errors import Fault
from providers.pricing.prices import format_usd

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000
_ARTICLES = {"hour": "an"}


def moment_text(moment_ns: int | None) -> str | None:
    """Write a window's end in RFC 3339, None where it has none."""
    if moment_ns is None:
        return None
    moment = _EPOCH + timedelta(microseconds=moment_ns // _NS_PER_US)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def refuse_for_budget(budget: Budget, state: LineState, least_pusd: int) -> Fault:
    """The fault of a call that a budget has no room for."""
    spent, held = format_usd(state.spent_pusd), format_usd(state.held_pusd)
    details: dict[str, str | int | None] = {
        "budget_id": budget.budget_id,
        "limit_usd": format_usd(budget.limit_pusd),
        "spent_usd": spent,
        "held_usd": held,
        "resets_at": moment_text(state.resets_ns),
    }
    needs = f"the call may cost {format_usd(least_pusd)} USD"
    if budget.kind == "credits":
        message = (
            f"The account's credit of {details['limit_usd']} USD has no room: {spent} spent, {held} held; {needs}."
        )
        return Fault("insufficient_credits", message, details=details, should_retry=False)
    name = budget.tag if budget.scope == "tag" else budget.scope_id
    window = "" if budget.span == "total" else f" {_ARTICLES.get(budget.span, 'a')} {budget.span}"
    message = (
        f"The budget of {details['limit_usd']} USD{window} on the {budget.scope} {name} has no room: "
        f"{spent} spent, {held} held; {needs}."
    )
    return Fault("spending_limit", message, details=details, should_retry=False)


def refuse_for_cap(cap_pusd: int, least_pusd: int) -> Fault:
    """The fault of a call that may cost more than it says it may."""
    return _refuse_plainly(
        f"x-watchllm-max-cost-usd allows {format_usd(cap_pusd)} USD, and the call may cost {format_usd(least_pusd)}.",
        None,
        cap_pusd,
    )


def refuse_unbounded(budget: Budget | None, cap_pusd: int | None, why: str) -> Fault:
    """The fault of a call of which nobody can say what it costs at most."""
    governs = "x-watchllm-max-cost-usd" if budget is None else f"the budget {budget.budget_id}"
    return _refuse_plainly(
        f"What this call costs at most cannot be known, and {governs} needs it: {why}.", budget, cap_pusd
    )


def _refuse_plainly(message: str, budget: Budget | None, cap_pusd: int | None) -> Fault:
    limit_pusd = budget.limit_pusd if budget is not None else cap_pusd or 0
    details: dict[str, str | int | None] = {
        "budget_id": None if budget is None else budget.budget_id,
        "limit_usd": format_usd(limit_pusd),
        "spent_usd": "0" if budget is None else None,
        "held_usd": "0" if budget is None else None,
        "resets_at": None,
    }
    return Fault("spending_limit", message, details=details, should_retry=False)
