"""A new account's credit: every account gets it exactly once, in the transaction that makes it."""

from pathlib import Path
from typing import cast

import msgspec
import pytest
from budget_world import treasure
from households import MASTER, NOW_NS, ORIGIN, PASSWORD, House, make_claim
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.directory import KeyRecord
from gateway.accounts.tenancy.people import Admission, People, Registration, SignedIn, Welcome
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.accounts.tenancy.tokens import AccessTokens
from gateway.budgets.keeping.peers import Peers
from gateway.config.secret import Secret
from gateway.credits import Credits
from gateway.db import Database, DatabaseUnavailable

AMOUNT_PUSD = 5 * 10**8
_GRANTED = text(
    "SELECT accounts.account_id, (SELECT COUNT(*) FROM entries WHERE entries.account_id = accounts.account_id "
    "AND kind = 'credit'), (SELECT SUM(limit_pusd) FROM budgets WHERE budgets.account_id = accounts.account_id) "
    "FROM accounts JOIN members ON members.account_id = accounts.account_id AND role = 'owner' "
    "ORDER BY accounts.account_id"
)


@pytest.fixture
def house(database: Database) -> House:
    """A house without people."""
    return House(database)


def people_of(house: House, welcome: Welcome) -> People:
    """The house's people, who are welcomed so."""
    return People(house.database, house.passwords, AccessTokens(MASTER), make_claim, Lifetimes(), welcome)


async def register(people: People, name: str, admission: Admission | None = None) -> SignedIn:
    """Make a person."""
    wanted = Registration(email=f"{name}@example.com", password=Secret(PASSWORD), full_name=name)
    return await people.register(wanted, admission or Admission(is_open=True), ORIGIN, NOW_NS)


async def list_granted(database: Database) -> list[tuple[str, int, int | None]]:
    """Every account, with the credits that were booked for it and its balance."""
    async with database.read() as connection:
        rows = await connection.execute(_GRANTED)
        return [(str(row[0]), int(row[1]), row[2] and int(row[2])) for row in rows]


async def test_every_new_account_has_its_credit_once(house: House, tmp_path: Path) -> None:
    """That of an invited person too: it is an account of their own, which nothing else bounds."""
    async with treasure(house.database, tmp_path) as world:
        people = people_of(house, Credits(world.treasury, AMOUNT_PUSD))
        ann = await register(people, "ann")
        made = await house.members.invite(ann.person, "ben@example.com", "member", ORIGIN, NOW_NS)
        ben = await register(people, "ben", Admission(is_open=False, invitation=made.token))
        assert ben.person.account_id == ann.person.account_id
        granted = await list_granted(house.database)
        assert [(count, balance) for _, count, balance in granted] == [(1, AMOUNT_PUSD)] * 2
        # This process bounds both from the first call on.
        directory = world.books.directory
        callers = [KeyRecord(key_id="k", project_id="p", kind="live", account_id=found) for found, _, _ in granted]
        assert [len(directory.find(caller, "")) for caller in callers] == [1, 1]


async def test_an_account_that_cannot_get_its_credit_is_not_made(house: House) -> None:
    """What breaks off between the two would leave an account that spends without a bound."""

    class Broken:
        """Fails where the credit is booked."""

        async def grant(self, connection: AsyncConnection, account_id: str, now_ns: int) -> None:
            """Fail."""
            raise LookupError(account_id)

        async def follow(self) -> None:
            """Never come to this."""
            raise AssertionError

    with pytest.raises(LookupError):
        await register(people_of(house, Broken()), "ann")
    assert await list_granted(house.database) == []


async def test_the_other_processes_are_told(house: House, tmp_path: Path) -> None:
    """An account must not be unlimited at one of them; a database that is away then undoes nothing."""
    told: list[str] = []

    class Asked:
        """Notes that the others were asked, and loses the database."""

        async def spread(self) -> None:
            """Note it."""
            told.append("asked")
            raise DatabaseUnavailable("gone")

    async with treasure(house.database, tmp_path) as world:
        treasury = msgspec.structs.replace(world.treasury, peers=cast("Peers", Asked()))
        await register(people_of(house, Credits(treasury, AMOUNT_PUSD)), "ann")
    assert told == ["asked"]
