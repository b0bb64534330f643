"""People for tests: real ones in a real database, whose passwords cost next to nothing to hash."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.audit import Actor, Occasion, read_entries
from gateway.accounts.tenancy.account import Accounts
from gateway.accounts.tenancy.members import Members
from gateway.accounts.tenancy.passwords import PasswordCost, Passwords
from gateway.accounts.tenancy.people import Admission, People, Registration, SignedIn
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.roles import Role
from gateway.accounts.tenancy.sessions import Lifetimes, Person
from gateway.accounts.tenancy.tokens import AccessTokens, make_claim_token
from gateway.config.secret import Secret
from gateway.db import Database

NOW_NS = 1_790_000_000_000_000_000
ORIGIN = "192.0.2.7"
MASTER = bytes(range(32))
CHEAP = PasswordCost(memory_kib=8, passes=1, lanes=1)
PASSWORD = "correct horse"
OPEN = Admission(is_open=True)
# The operator acts, at the command line.
AT = Occasion(actor=Actor(kind="command", actor_id=None, origin=""), account_id=None, now_ns=NOW_NS)


def make_claim(number: int) -> Secret:
    """The token of a claim link of this installation."""
    return make_claim_token(MASTER, number)


class House:
    """Everything that the tests of people use, on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.passwords = Passwords(CHEAP)
        self.people = self.at_cost(self.passwords)
        self.members = Members(database, self._follow_keys)
        # How often this process was to honour changed keys.
        self.follows = 0
        # What budgets were told.
        self.zones: list[tuple[str, str]] = []
        self.accounts = Accounts(database, self._note_zone)

    async def _follow_keys(self) -> None:
        self.follows += 1

    async def _note_zone(self, _connection: AsyncConnection, account_id: str, zone: str) -> None:
        self.zones.append((account_id, zone))

    def at_cost(self, passwords: Passwords) -> People:
        """The same people, their passwords hashed otherwise."""
        return People(self.database, passwords, AccessTokens(MASTER), make_claim, Lifetimes())

    async def register(self, name: str, **changes: object) -> SignedIn:
        """Make a person whose address begins with the name."""
        wanted = Registration(email=f"{name}@example.com", password=Secret(PASSWORD), full_name=name)
        wanted = msgspec.structs.replace(wanted, **changes)
        return await self.people.register(wanted, OPEN, ORIGIN, NOW_NS)

    async def login(self, email: str, password: str = PASSWORD, now_ns: int = NOW_NS) -> SignedIn:
        """Sign in."""
        return await self.people.login(email, Secret(password), ORIGIN, now_ns)

    async def is_open(self, signed_in: SignedIn, now_ns: int = NOW_NS) -> bool:
        """Tell whether a session lives, by its cookie and by its access token, which must agree."""
        by_cookie = await self.people.find_by_cookie(signed_in.cookie, now_ns)
        by_token = await self.people.find_by_access_token(signed_in.tokens.access_token, now_ns)
        assert (by_cookie is not None) == isinstance(by_token, Person)
        return by_cookie is not None

    async def join(self, host: SignedIn, name: str, role: Role) -> SignedIn:
        """Make a person who joins the host's account as this."""
        made = await self.members.invite(host.person, f"{name}@example.com", role, ORIGIN, NOW_NS)
        wanted = Registration(email=f"{name}@example.com", password=Secret(PASSWORD))
        admission = Admission(is_open=False, invitation=made.token)
        return await self.people.register(wanted, admission, ORIGIN, NOW_NS)

    async def list_actions(self, account_id: str | None) -> list[str]:
        """List what the audit log tells of an account, by name, since here everything happens at one moment."""
        async with self.database.read() as connection:
            return sorted(entry.action for entry in await read_entries(connection, account_id, 100))


@contextmanager
def refused(kind: RefusalKind, words: str = ".") -> Iterator[None]:
    """Expect a refusal of this kind, whose message has these words and no secret."""
    with pytest.raises(Refusal, match=words) as caught:
        yield
    assert caught.value.kind is kind
    assert PASSWORD not in str(caught.value)
