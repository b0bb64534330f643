"""Budgets over HTTP: everybody in the account sees them, people with the permission make and delete them.

Account-wide keys see them by the scope `usage:read`, and change them by `budgets`, which those of admins and owners
have.

Failure behavior: what is somebody else's is not found. While the database is away, or Redis where there is one and what
is held is asked, the answer is 503; what was stored is never answered so.
"""

from typing import Annotated, Any, get_args
from unicodedata import category

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from gateway.accounts.tenancy.roles import Permission
from gateway.analytics.overview.past_windows import Past, read_past
from gateway.budgets import administration, store
from gateway.budgets.administration import BudgetState, TooManyBudgets, Wanted
from gateway.budgets.budget import THRESHOLDS, Action, Budget, Scope, Span, tag_scope_id
from gateway.budgets.keeping.treasury import Treasury
from gateway.budgets.refusal import moment_text
from gateway.counters.interface import MAX_PUSD
from gateway.db import Database
from gateway.errors import Fault, shown
from gateway.ids import parse_id
from gateway.ledger.figures.tags import split_tags
from gateway.pipeline.services import Services
from gateway.surfaces.access import Caller, caller_of, may_in_account
from gateway.surfaces.api.projects import occasion_of
from gateway.surfaces.parameters import Parameter, asked, takes
from gateway.surfaces.views.usage import wait_for_rows
from providers.pricing.prices import format_usd, parse_usd

AnyRequest = Request[Any, Any, Any]
TAG = "Budgets"
PERMISSION: Permission = "budgets"
# They govern everybody's calls, so everybody may know them.
READ_PERMISSION: Permission = "account:read"
READING = "usage:read"
MAX_TAG_CHARS = 256
_PREFIXES = {"account": "acct_", "project": "proj_", "key": "key_"}
_TRUE = "true"
_Share = Annotated[float, Meta(gt=0, le=10)]


class BudgetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /api/budgets; ``scope_id`` may be left out for an account and is the tag itself for a tag."""

    scope: Scope
    window: Span
    # A decimal string of dollars, or a whole number; a JSON float would have lost digits before it was read.
    limit_usd: str | int
    scope_id: str | None = None
    # Of a tag, for the operator: that of the projects that have no account, not the account's own.
    installation: bool = False
    action: Action = "block"
    # Shares of the limit at which an event usage.threshold is written.
    thresholds: Annotated[tuple[_Share, ...], Meta(max_length=16)] = THRESHOLDS


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget as it stands now; amounts are exact decimal strings of dollars."""

    id: str
    scope: Scope
    scope_id: str
    # It is the operator's, on a project, key or tag of those that have no account.
    installation: bool
    window: Span
    limit_usd: str
    action: Action
    thresholds: tuple[float, ...]
    spent_usd: str
    held_usd: str
    # None: a total never does.
    resets_at: str | None


class BudgetList(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's own budgets."""

    budgets: list[BudgetView]


class PastWindowView(msgspec.Struct, frozen=True, kw_only=True):
    """A window that is over, and what was spent in it."""

    since: str = msgspec.field(name="from")
    spent_usd: str


class BudgetTrialView(msgspec.Struct, frozen=True, kw_only=True):
    """A limit against what was spent; what needs one is null where none was given."""

    scope: Scope
    scope_id: str
    window: Span
    limit_usd: str | None
    # Windows that are over, the oldest first, from the first on that cost anything: at most 168 hours, 60 days,
    # 26 weeks or 12 months.
    past: list[PastWindowView]
    # In how many of them as much as the limit was spent: there it would have refused or told.
    reached: int | None
    # What the dearest of them cost, and what half of them stayed below.
    highest_usd: str | None
    typical_usd: str | None
    # Of the window of now: what is spent, whether that is the limit, and when it will be, if it will.
    spent_usd: str
    reached_now: bool | None
    reaches_at: str | None
    resets_at: str | None


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """It is gone."""

    success: bool = True
    message: str = "Budget deleted"


@post("/api/budgets", summary="Make a budget", tags=[TAG], guards=[may_in_account(PERMISSION, scope=PERMISSION)])
async def make_budget(
    request: AnyRequest,
    data: JSONBody[BudgetBody],
    services: NamedDependency[Services],
    database: NamedDependency[Database],
) -> BudgetView:
    """Limit what an account, a project, a key or a tag spends in a window; it holds from the answer on.

    So it does in every process; one that was not heard of for 5 s takes the budget over when it answers again.
    """
    treasury = services.budgets.treasury
    wanted = await _resolve(data, request, database)
    try:
        return view_budget(await administration.create(treasury, wanted))
    except TooManyBudgets:
        most = administration.MAX_BUDGETS
        raise Fault("rule_broken", f"The account has {most} budgets, which is the most; delete one first.") from None


@get("/api/budgets", summary="List budgets", tags=[TAG], guards=[may_in_account(READ_PERMISSION, scope=READING)])
async def list_budgets(request: AnyRequest, services: NamedDependency[Services]) -> BudgetList:
    """The account's budgets, as they stand now."""
    states = await _list(services.budgets.treasury, caller_of(request))
    return BudgetList(budgets=[view_budget(state) for state in states])


@get(
    "/api/budgets/simulation",
    summary="Tell what a budget would have done",
    tags=[TAG],
    opt=takes(
        Parameter(name="scope", meaning="What it would limit", choices=get_args(Scope), is_required=True),
        Parameter(name="window", meaning="How often it would begin anew", choices=get_args(Span), is_required=True),
        Parameter(name="scope_id", meaning="Which project, key or tag; of an account it may be left out"),
        Parameter(name="installation", meaning="A tag of the installation's own projects", choices=(_TRUE, "false")),
        Parameter(name="limit_usd", meaning="The limit in dollars; left out, only what was spent is told"),
    ),
    guards=[may_in_account(READ_PERMISSION, scope=READING)],
)
async def simulate_budget(
    request: AnyRequest, services: NamedDependency[Services], database: NamedDependency[Database]
) -> BudgetTrialView:
    """In each window of the past, and in the one of now."""
    caller, treasury, now_ns = caller_of(request), services.budgets.treasury, services.now_ns()
    given = asked(request)
    limit_pusd = read_amount(given["limit_usd"], "limit_usd") if "limit_usd" in given else None
    is_installations = given.get("installation") == _TRUE
    body = msgspec.convert({**given, "installation": is_installations, "limit_usd": 0}, BudgetBody)
    owner, scope_id = await _find_scope(body, caller, database)
    await wait_for_rows(services)
    async with database.read() as connection:
        zone = "UTC" if owner is None else await store.read_zone(connection, owner)
        counting = await store.read_counting(connection, [scope_id] if body.scope == "key" else [])
    budget = Budget(
        budget_id="",
        account_id=owner,
        scope=body.scope,
        scope_id=scope_id,
        span=body.window,
        limit_pusd=MAX_PUSD if limit_pusd is None else limit_pusd,
        created_ns=now_ns,
        zone=zone,
        root_id=counting[scope_id][0] if body.scope == "key" else None,
    )
    return _trial(await read_past(database, treasury, budget, now_ns), has_limit=limit_pusd is not None)


@get(
    "/api/budgets/{budget_id:str}",
    summary="Show a budget",
    tags=[TAG],
    guards=[may_in_account(READ_PERMISSION, scope=READING)],
)
async def show_budget(request: AnyRequest, budget_id: FromPath[str], services: NamedDependency[Services]) -> BudgetView:
    """One of the account's, as it stands now."""
    treasury = services.budgets.treasury
    budget = await _find(treasury, caller_of(request), budget_id)
    (state,) = await administration.look(treasury, [budget])
    return view_budget(state)


@delete(
    "/api/budgets/{budget_id:str}",
    summary="Delete a budget",
    tags=[TAG],
    status_code=200,
    guards=[may_in_account(PERMISSION, scope=PERMISSION)],
)
async def delete_budget(request: AnyRequest, budget_id: FromPath[str], services: NamedDependency[Services]) -> Deleted:
    """It refuses no more; what was spent stays in the ledger."""
    treasury = services.budgets.treasury
    budget = await _find(treasury, caller_of(request), budget_id)
    await administration.delete(treasury, budget, occasion_of(request).actor)
    return Deleted()


BUDGET_ROUTES = [make_budget, list_budgets, simulate_budget, show_budget, delete_budget]


def view_budget(state: BudgetState) -> BudgetView:
    """Write a budget as the interface has it."""
    budget = state.budget
    return BudgetView(
        id=budget.budget_id,
        scope=budget.scope,
        scope_id=budget.tag or budget.scope_id,
        installation=budget.account_id is None,
        window=budget.span,
        limit_usd=format_usd(budget.limit_pusd),
        action=budget.action,
        thresholds=budget.thresholds,
        spent_usd=format_usd(state.spent_pusd),
        held_usd=format_usd(state.held_pusd),
        resets_at=moment_text(state.window.resets_ns),
    )


def _trial(past: Past, *, has_limit: bool) -> BudgetTrialView:
    state, budget = past.state, past.state.budget
    highest, typical_pusd = past.highest, past.typical_pusd
    return BudgetTrialView(
        scope=budget.scope,
        scope_id=budget.tag or budget.scope_id,
        window=budget.span,
        limit_usd=format_usd(budget.limit_pusd) if has_limit else None,
        past=[
            PastWindowView(since=moment_text(window.start_ns) or "", spent_usd=format_usd(spent))
            for window, spent in past.windows
        ],
        reached=past.reached if has_limit else None,
        highest_usd=None if highest is None else format_usd(highest[1]),
        typical_usd=None if typical_pusd is None else format_usd(typical_pusd),
        spent_usd=format_usd(state.spent_pusd),
        reached_now=past.is_reached if has_limit else None,
        reaches_at=moment_text(past.reaches_ns) if has_limit else None,
        resets_at=moment_text(state.window.resets_ns),
    )


def read_amount(text: str, param: str) -> int:
    """Read a decimal string of dollars as picodollars; raises Fault."""
    try:
        amount = parse_usd(text)
    except ValueError as invalid:
        raise Fault("rule_broken", f"{param!r}: {invalid}.", param=param) from invalid
    if amount > MAX_PUSD:
        raise Fault("rule_broken", f"{param!r}: {shown(text)} is more than {format_usd(MAX_PUSD)}.", param=param)
    return amount


async def _list(treasury: Treasury, caller: Caller) -> list[BudgetState]:
    return await administration.list_own(treasury, caller.account_id, with_operators=_is_operator(caller))


async def _find(treasury: Treasury, caller: Caller, given: str) -> Budget:
    """The caller's own budget of that id; raises Fault."""
    async with treasury.database.read() as connection:
        own = await store.list_own(connection, caller.account_id, with_operators=_is_operator(caller))
    try:
        wanted = f"bud_{parse_id(given)}"
    except ValueError:
        wanted = ""
    found = next((budget for budget in own if budget.budget_id == wanted), None)
    if found is None:
        raise Fault("foreign", f"There is no budget {shown(given)} of yours.", param="budget_id")
    return found


async def _resolve(body: BudgetBody, request: AnyRequest, database: Database) -> Wanted:
    """Find whose the scope is; raises Fault where it is not the caller's."""
    thresholds = tuple(sorted(set(body.thresholds)))
    limit_pusd = read_amount(str(body.limit_usd), "limit_usd")
    owner, scope_id = await _find_scope(body, caller_of(request), database)
    return Wanted(
        account_id=owner,
        scope=body.scope,
        scope_id=scope_id,
        span=body.window,
        limit_pusd=limit_pusd,
        action=body.action,
        thresholds=thresholds,
        actor=occasion_of(request).actor,
    )


async def _find_scope(body: BudgetBody, caller: Caller, database: Database) -> tuple[str | None, str]:
    given = body.scope_id
    if body.installation:
        _check_installation(body, caller)
    if body.scope == "account":
        if caller.account_id is None:
            raise Fault("rule_broken", "The operator's own projects have no account: budget a project.", param="scope")
        if given is not None and _read_id(given, "account") != _read_id(caller.account_id, "account"):
            raise _unknown(body)
        return caller.account_id, caller.account_id
    if not given:
        raise Fault("rule_broken", f"'scope_id' is missing: it names the {body.scope}.", param="scope_id")
    if body.scope == "tag":
        if not _may_arrive(given):
            raise Fault(
                "rule_broken",
                f"'scope_id' is {shown(given)}: a tag is one word of x-watchllm-tags, without commas, control "
                f"characters or blanks around it, of at most {MAX_TAG_CHARS} characters.",
                param="scope_id",
            )
        owner_id = None if body.installation else caller.account_id
        return owner_id, tag_scope_id(owner_id, given)
    scope_id = _read_id(given, body.scope)
    async with database.read() as connection:
        owner = None if scope_id is None else await store.find_owner(connection, body.scope, scope_id)
    if scope_id is None or owner is None:
        raise _unknown(body)
    if owner[0] != caller.account_id and not (owner[0] is None and _is_operator(caller)):
        raise _unknown(body)
    return owner[0], scope_id


def _check_installation(body: BudgetBody, caller: Caller) -> None:
    """A project or a key tells whose it is; the same word is a tag of each account and one of the installation."""
    if not _is_operator(caller):
        raise Fault("insufficient_scope", "Only the operator budgets the installation's tags.", param="installation")
    if body.scope != "tag":
        message = f"'installation' is true, and says nothing of the scope {body.scope!r}: it is for a tag."
        raise Fault("rule_broken", message, param="installation")


def _may_arrive(tag: str) -> bool:
    """Whether a call can have it: a budget on another would govern nothing."""
    if len(tag) > MAX_TAG_CHARS or any(category(character) == "Cc" for character in tag):
        return False
    return split_tags(tag) == [tag]


def _read_id(text: str, scope: Scope) -> str | None:
    try:
        return _PREFIXES[scope] + parse_id(text)
    except ValueError:
        return None


def _is_operator(caller: Caller) -> bool:
    return caller.account_id is None or (caller.person is not None and caller.person.is_operator)


def _unknown(body: BudgetBody) -> Fault:
    return Fault("foreign", f"There is no {body.scope} {shown(body.scope_id)} of yours.", param="scope_id")
