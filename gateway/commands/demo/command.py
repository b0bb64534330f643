"""What ``watchllm demo`` does: fills a database with a year of made-up traffic, and says how to sign in and see it.

Failure behavior: what the operator can put right raises one of REFUSALS, whose text says what to do.
"""

import argparse
import secrets
from functools import partial

import msgspec

from gateway.accounts.keys import KeyDigester
from gateway.accounts.master import API_KEYS, MasterKeyError, decode_previous_keys, derive_key, load_master_key
from gateway.accounts.tenancy.passwords import DEFAULT_COST, PasswordCost, Passwords
from gateway.accounts.tenancy.people import People
from gateway.accounts.tenancy.refusals import Refusal
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.accounts.tenancy.tokens import AccessTokens, make_claim_token
from gateway.commands.demo.fill import Demo, DemoParts, DemoRefused, DemoWish, fill
from gateway.commands.keys import REFUSALS as STORAGE_REFUSALS
from gateway.commands.keys import open_database
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.upstreams import build_prices
from providers.catalogue import load_catalogue
from providers.pricing.prices import format_usd

REFUSALS = (*STORAGE_REFUSALS, DemoRefused, MasterKeyError, Refusal)


class DemoAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the command answers as JSON; amounts are exact decimals of dollars."""

    email: str
    password: str
    account_id: str
    projects: dict[str, str]
    key: str
    calls: int
    cost_usd: str
    saved_usd: str


async def run_demo(
    settings: Settings, wanted: argparse.Namespace, now_ns: int, password_cost: PasswordCost = DEFAULT_COST
) -> str:
    """Fill, and write how to sign in. Raises one of REFUSALS."""
    given = settings.master_key.reveal() if settings.master_key else None
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    master = load_master_key(given, settings.data_dir)
    password = wanted.password or secrets.token_urlsafe(12)
    wish = DemoWish(
        email=wanted.email,
        password=Secret(password),
        calls=wanted.calls,
        seed=wanted.seed,
        now_ns=now_ns,
        is_sure=wanted.yes,
    )
    previous = decode_previous_keys(secret.reveal() for secret in settings.previous_master_keys)
    passwords = Passwords(password_cost)
    try:
        async with open_database(settings) as database:
            tokens, claim = AccessTokens(master, previous), partial(make_claim_token, master)
            parts = DemoParts(
                database=database,
                digester=KeyDigester(derive_key(master, API_KEYS)),
                people=People(database, passwords, tokens, claim, Lifetimes()),
                prices=build_prices(settings, load_catalogue()),
            )
            made = await fill(parts, wish)
    finally:
        passwords.close()
    answer = _answer(made, password)
    return msgspec.json.encode(answer).decode() if wanted.json else _write(answer)


def _answer(made: Demo, password: str) -> DemoAnswer:
    return DemoAnswer(
        email=made.email,
        password=password,
        account_id=made.account_id,
        projects=made.projects,
        key=made.key,
        calls=made.calls,
        cost_usd=format_usd(made.cost_pusd),
        saved_usd=format_usd(made.saved_pusd),
    )


def _write(answer: DemoAnswer) -> str:
    return (
        f"{answer.calls:,} made-up calls of the last year: {answer.cost_usd} USD, and {answer.saved_usd} USD saved\n"
        f"sign in as {answer.email} with the password {answer.password}\n"
        f"a key of the project {next(iter(answer.projects))!r}: {answer.key}"
    )
