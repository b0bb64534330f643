"""The spending guardrails of the document A: an account's budgets in its words (rows A29 to A32).

Amounts are JSON numbers that no float has touched here; what a caller's floats have left beyond a picodollar, as in
0.30000000000000004, is rounded up. ``monthly`` is the account's tightest budget with window month.
A window without a budget has no limit: ``window_limit`` and ``limit`` are null.
"""

import re
from decimal import ROUND_UP, Context, Decimal
from typing import Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from gateway.budgets import administration, store
from gateway.budgets.administration import BudgetState
from gateway.budgets.budget import Span
from gateway.budgets.keeping.treasury import Treasury
from gateway.errors import Fault, shown
from gateway.pipeline.services import Services
from gateway.surfaces.access import Caller, caller_of, may_in_account
from gateway.surfaces.api.budgets import read_amount
from gateway.surfaces.api.projects import occasion_of
from providers.pricing.prices import format_usd

AnyRequest = Request[Any, Any, Any]
TAG = "Guardrails"
WindowName = Literal["hourly", "daily", "weekly", "monthly", "total"]
SPANS: dict[WindowName, Span] = {
    "hourly": "hour",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "total": "total",
}
NAMES: dict[Span, WindowName] = {span: name for name, span in SPANS.items()}
PAYMENT_REQUIRED = 402
MAX_NUMBER_CHARS = 64
_PICODOLLAR, _EXACTLY = Decimal("1e-12"), Context(prec=MAX_NUMBER_CHARS)
_HUNDRED_PERCENT = 10_000
# As JSON writes a number that is not negative.
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOTHING = msgspec.Raw(b"null")


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A window whose limit is reached, or would be passed."""

    window: WindowName
    spent: msgspec.Raw
    limit: msgspec.Raw


class SpendingView(msgspec.Struct, frozen=True, kw_only=True):
    """Row A29; ``percentage_used`` is of a hundred."""

    window_spent: msgspec.Raw
    window_limit: msgspec.Raw
    window_name: WindowName
    percentage_used: msgspec.Raw
    violations: list[Violation]


class RecordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Row A30."""

    amount: float | str


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Row A30; the month's new total."""

    message: str = "Spending recorded successfully"
    new_total: msgspec.Raw


class CheckBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Row A31."""

    estimated_cost: float | str


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """Row A31: there is room in every window."""

    allowed: bool = True
    spent: msgspec.Raw
    limit: msgspec.Raw


class Violated(msgspec.Struct, frozen=True, kw_only=True):
    """Row A31: there is not; this is no error envelope."""

    allowed: bool = False
    violations: list[Violation]
    spent: msgspec.Raw


class ResetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Row A32."""

    window_name: WindowName


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """Row A32."""

    message: str = "Spending reset successfully"


@get(
    "/api/v1/guardrails/spending",
    summary="Show what the account has spent this month",
    tags=[TAG],
    guards=[may_in_account("usage:read", scope="usage:read")],
)
async def show_spending(request: AnyRequest, services: NamedDependency[Services]) -> SpendingView:
    """The month of the account as a whole, and every window whose limit is reached."""
    treasury, account_id = services.budgets.treasury, _account_of(caller_of(request))
    states = await administration.look_at_account(treasury, account_id)
    month = _tightest(states)
    spent = await _spent_this_month(treasury, account_id) if month is None else month.spent_pusd
    limit = None if month is None else month.budget.limit_pusd
    return SpendingView(
        window_spent=_number(spent),
        window_limit=_NOTHING if limit is None else _number(limit),
        window_name="monthly",
        percentage_used=_percentage(spent, limit),
        violations=[_violation(state) for state in states if state.spent_pusd >= state.budget.limit_pusd],
    )


@post(
    "/api/v1/guardrails/spending/record",
    summary="Tell of money spent elsewhere",
    tags=[TAG],
    status_code=200,
    guards=[may_in_account("budgets", scope="budgets")],
)
async def record_spending(
    request: AnyRequest, data: JSONBody[RecordBody], services: NamedDependency[Services]
) -> Recorded:
    """It counts in every window of the account, as if the gateway had spent it."""
    treasury, account_id = services.budgets.treasury, _account_of(caller_of(request))
    amount = _read_number(await request.body(), "amount")
    month_pusd = await administration.record_spending(treasury, account_id, amount, occasion_of(request).actor)
    return Recorded(new_total=_number(month_pusd))


@post(
    "/api/v1/guardrails/spending/check",
    summary="Ask whether the budgets have room",
    tags=[TAG],
    status_code=200,
    responses={
        PAYMENT_REQUIRED: ResponseSpec(
            Violated,
            description="A budget that blocks, or the credit (window `total`), has no room for it.",
            generate_examples=False,
        )
    },
    guards=[may_in_account("usage:read", scope="usage:read")],
)
async def check_spending(
    request: AnyRequest, data: JSONBody[CheckBody], services: NamedDependency[Services]
) -> Response[Allowed | Violated]:
    """Would a cost fit into every budget of the account that blocks, and into its credit? Nothing is reserved."""
    treasury, account_id = services.budgets.treasury, _account_of(caller_of(request))
    cost = _read_number(await request.body(), "estimated_cost")
    states = await administration.look_at_account(treasury, account_id, with_credit=True)
    month = _tightest(states)
    spent = await _spent_this_month(treasury, account_id) if month is None else month.spent_pusd
    violations = [
        _violation(state)
        for state in states
        if state.budget.action == "block" and state.spent_pusd + state.held_pusd + cost > state.budget.limit_pusd
    ]
    if violations:
        return Response(Violated(violations=violations, spent=_number(spent)), status_code=PAYMENT_REQUIRED)
    limit = _NOTHING if month is None else _number(month.budget.limit_pusd)
    return Response(Allowed(spent=_number(spent), limit=limit), status_code=200)


@post(
    "/api/v1/guardrails/spending/reset",
    summary="Set a window's spending back to 0",
    tags=[TAG],
    status_code=200,
    guards=[may_in_account("budgets", scope="budgets")],
)
async def reset_spending(request: AnyRequest, data: JSONBody[ResetBody], services: NamedDependency[Services]) -> Reset:
    """An entry in the ledger takes off what the account has spent in the window of now; nothing is deleted."""
    treasury, account_id = services.budgets.treasury, _account_of(caller_of(request))
    await administration.reset(treasury, account_id, SPANS[data.window_name], occasion_of(request).actor)
    return Reset()


GUARDRAIL_ROUTES = [show_spending, record_spending, check_spending, reset_spending]


def _account_of(caller: Caller) -> str:
    if caller.account_id is None:
        raise Fault("rule_broken", "The operator's own projects have no account, so no guardrails.")
    return caller.account_id


async def _spent_this_month(treasury: Treasury, account_id: str) -> int:
    async with treasury.database.read() as connection:
        zone = await store.read_zone(connection, account_id)
    return await administration.sum_month(treasury, account_id, zone)


def _tightest(states: list[BudgetState]) -> BudgetState | None:
    months = [state for state in states if state.budget.span == "month"]
    return min(months, key=lambda state: state.budget.limit_pusd, default=None)


def _violation(state: BudgetState) -> Violation:
    return Violation(
        window=NAMES[state.budget.span], spent=_number(state.spent_pusd), limit=_number(state.budget.limit_pusd)
    )


def _percentage(spent_pusd: int, limit_pusd: int | None) -> msgspec.Raw:
    """Hundredths of a percent, rounded down; of no limit nothing is used, of a limit of 0 all."""
    if limit_pusd is None:
        return msgspec.Raw(b"0")
    hundredths = spent_pusd * _HUNDRED_PERCENT // limit_pusd if limit_pusd else _HUNDRED_PERCENT
    whole, rest = divmod(hundredths, 100)
    return msgspec.Raw(f"{whole}.{rest:02d}".encode())


def _number(amount_pusd: int) -> msgspec.Raw:
    return msgspec.Raw(format_usd(amount_pusd).encode())


def _read_number(body: bytes, param: str) -> int:
    """Read a member of the body, a number or a string of one, as picodollars; raises Fault.

    From the bytes: the framework has made a float of it.
    """
    written = bytes(_MEMBERS.decode(body)[param]).decode()
    text = written.strip('"')
    # Decimal alone would take underscores, blanks, and digits of every script.
    if len(text) > MAX_NUMBER_CHARS or not _NUMBER.fullmatch(text) or (number := Decimal(text)).adjusted() > 20:  # noqa: PLR2004 - far beyond any money
        message = f"{param!r} is {shown(text)}: it takes a number of dollars, 0 or more."
        raise Fault("rule_broken", message, param=param)
    if text == written:
        number = number.quantize(_PICODOLLAR, ROUND_UP, _EXACTLY)
    return read_amount(f"{number:f}", param)
