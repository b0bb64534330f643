"""What ``watchllm accounts`` does: list accounts with their plans, and put one on another plan, while a server runs.

Failure behavior: what the operator can put right raises one of REFUSALS, whose text says what to do.
"""

import argparse
from collections.abc import Callable, Coroutine

import msgspec

from gateway.accounts.audit import Actor
from gateway.config.settings import Settings
from gateway.key_commands import REFUSALS as STORAGE_REFUSALS
from gateway.key_commands import open_database
from gateway.limits.plans import InvalidPlan
from gateway.limits.plans_store import WantedPlan, list_plans, set_plan

ACTOR = Actor(kind="command", actor_id=None, origin="")


class UnknownAccount(Exception):
    """There is no account with this id."""


REFUSALS = (*STORAGE_REFUSALS, InvalidPlan, UnknownAccount)


async def list_accounts(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """List every account, oldest first, a line each or as JSON."""
    async with open_database(settings) as database:
        accounts = await list_plans(database)
    if wanted.json:
        return msgspec.json.encode(accounts).decode()
    return "\n".join(
        " ".join([account.account_id, account.plan, *_limits(account), account.name]) for account in accounts
    )


async def change_plan(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """Put an account on a plan; every process follows within a second. Raises UnknownAccount, InvalidPlan."""
    plan = WantedPlan(account_id=wanted.account_id, plan=wanted.plan, rate_overrides=dict(wanted.limit or ()))
    async with open_database(settings) as database:
        if not await set_plan(database, plan, ACTOR, now_ns):
            raise UnknownAccount(f"there is no account {wanted.account_id!r}; see watchllm accounts list")
    if wanted.json:
        return msgspec.json.encode(plan).decode()
    return " ".join([plan.account_id, plan.plan, *_limits(plan)])


VERBS: dict[str, Callable[[Settings, argparse.Namespace, int], Coroutine[None, None, str]]] = {
    "list": list_accounts,
    "plan": change_plan,
}


def _limits(plan: WantedPlan) -> list[str]:
    return [f"{name}={limit}" for name, limit in sorted(plan.rate_overrides.items())]
