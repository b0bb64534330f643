"""What ``watchllm accounts`` and ``admin`` do while a server runs: list accounts, change a plan, let an operator in.

Failure behavior: what the operator can put right raises one of REFUSALS, whose text says what to do.
"""

import argparse
from collections.abc import Callable, Coroutine

import msgspec

from gateway.accounts.audit import COMMAND_LINE, Deed, append_entry
from gateway.accounts.master import load_master_key
from gateway.accounts.tenancy.people_store import begin_claim_link
from gateway.accounts.tenancy.tokens import make_claim_token
from gateway.commands.keys import REFUSALS as STORAGE_REFUSALS
from gateway.commands.keys import align, open_database, open_existing
from gateway.config.checks import explain_web_address
from gateway.config.listening import read_address, write_address
from gateway.config.settings import Settings
from gateway.limits.plans import InvalidPlan
from gateway.limits.plans_store import WantedPlan, list_plans, set_plan
from gateway.web.claim import claim_url

_HEADINGS = ("ACCOUNT", "PLAN", "NAME", "LIMITS")


class UnknownAccount(Exception):
    """There is no account with this id."""


class InvalidAddress(Exception):
    """No link can be made of it."""


class MadeLink(msgspec.Struct, frozen=True, kw_only=True):
    """What a new link answers as JSON."""

    link: str


REFUSALS = (*STORAGE_REFUSALS, InvalidPlan, UnknownAccount, InvalidAddress)


async def list_accounts(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """List every account, oldest first, as a table or as JSON."""
    async with open_existing(settings) as database:
        accounts = await list_plans(database)
    if wanted.json:
        return msgspec.json.encode(accounts).decode()
    rows = [(account.account_id, account.plan, account.name, " ".join(_limits(account))) for account in accounts]
    return align(_HEADINGS, rows)


async def change_plan(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """Put an account on a plan; every process follows within a second. Raises UnknownAccount, InvalidPlan."""
    plan = WantedPlan(account_id=wanted.account_id, plan=wanted.plan, rate_overrides=dict(wanted.limit or ()))
    async with open_existing(settings) as database:
        if not await set_plan(database, plan, COMMAND_LINE, now_ns):
            raise UnknownAccount(f"there is no account {wanted.account_id!r}; see watchllm accounts list")
    if wanted.json:
        return msgspec.json.encode(plan).decode()
    return " ".join([plan.account_id, plan.plan, *_limits(plan)])


async def make_link(settings: Settings, wanted: argparse.Namespace, now_ns: int) -> str:
    """Make a new claim link, which ends every earlier one, and write it alone or as JSON. Raises InvalidAddress."""
    if wanted.url and (wrong := explain_web_address(wanted.url)):
        raise InvalidAddress(f"--url {wrong}")
    given = settings.master_key.reveal() if settings.master_key else None
    master = load_master_key(given, settings.data_dir)
    async with open_database(settings) as database, database.write() as connection:
        number = await begin_claim_link(connection)
        deed = Deed(account_id=None, action="installation.make_link", object_id=str(number))
        await append_entry(connection, COMMAND_LINE, deed, now_ns)
    server = settings.server
    # The command line of the gateway may have named another port than the settings do.
    listening = read_address(settings.data_dir) or write_address(server.host, server.port)
    base_url = wanted.url or server.public_url or listening
    link = claim_url(base_url, make_claim_token(master, number))
    return msgspec.json.encode(MadeLink(link=link)).decode() if wanted.json else link


VERBS: dict[str, Callable[[Settings, argparse.Namespace, int], Coroutine[None, None, str]]] = {
    "list": list_accounts,
    "plan": change_plan,
    "link": make_link,
}


def _limits(plan: WantedPlan) -> list[str]:
    return [f"{name}={limit}" for name, limit in sorted(plan.rate_overrides.items())]
