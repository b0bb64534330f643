"""Filling an installation: everything is there, right by its sums, and never beside real traffic unasked."""

import msgspec
import pytest
from households import MASTER, House

from gateway.accounts.keys import KeyDigester
from gateway.accounts.master import API_KEYS, derive_key
from gateway.accounts.tenancy.refusals import Refusal
from gateway.analytics.verify import find_differences as proof_of_sums
from gateway.analytics.verify_figures import find_differences as proof_of_figures
from gateway.budgets import store as budgets_store
from gateway.budgets.proof import find_differences as proof_of_budgets
from gateway.commands.demo import fill as demo
from gateway.commands.demo.fill import DemoParts, DemoRefused, DemoWish, fill
from gateway.config.secret import Secret
from providers.pricing.prices import load_prices
from tests.gateway.usage_rows import NOW_NS

WISH = DemoWish(email="demo@example.com", password=Secret("correct horse"), calls=300, seed=1, now_ns=NOW_NS)


def parts_of(house: House) -> DemoParts:
    """An installation's parts."""
    digester = KeyDigester(derive_key(MASTER, API_KEYS))
    return DemoParts(database=house.database, digester=digester, people=house.people, prices=load_prices())


async def test_everything_is_there(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who can sign in, projects and keys, budgets, and sums that are those of the rows."""
    monkeypatch.setattr(demo, "BATCH_ROWS", 128)
    made = await fill(parts_of(house), WISH)
    signed_in = await house.people.login(WISH.email, WISH.password, "", NOW_NS)
    assert (signed_in.person.is_operator, signed_in.person.account_id) == (True, made.account_id)
    assert (len(made.projects), made.calls) == (3, 300)
    async with house.database.read() as connection:
        budgets = await budgets_store.list_own(connection, made.account_id, with_operators=False)
    assert {budget.scope for budget in budgets} == {"account", "project", "tag", "key"}
    for proof in (proof_of_sums, proof_of_figures, proof_of_budgets):
        assert [difference async for difference in proof(house.database)] == []


async def test_it_is_made_once(house: House) -> None:
    """Beside calls only where that is wanted, and for one address once; a bad password is refused before anything."""
    parts = parts_of(house)
    with pytest.raises(Refusal):
        await fill(parts, msgspec.structs.replace(WISH, password=Secret("x")))
    small = msgspec.structs.replace(WISH, calls=2)
    await fill(parts, small)
    with pytest.raises(DemoRefused, match="--yes"):
        await fill(parts, msgspec.structs.replace(small, email="other@example.com"))
    with pytest.raises(DemoRefused, match="--email"):
        await fill(parts, msgspec.structs.replace(small, is_sure=True))
    second = await fill(parts, msgspec.structs.replace(small, email="other@example.com", is_sure=True, seed=2))
    assert not (await house.people.login(second.email, small.password, "", NOW_NS)).person.is_operator
