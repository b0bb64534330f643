"""People: they come in, are known again, and go; nothing is told that should not be."""

import asyncio

import pytest
from argon2 import PasswordHasher
from households import NOW_NS, OPEN, ORIGIN, PASSWORD, House, make_claim, refused
from sqlalchemy import text

from gateway.accounts.audit import read_entries
from gateway.accounts.tenancy.passwords import PasswordCost, Passwords, PasswordsBusy
from gateway.accounts.tenancy.people import Admission, Registration, SignedIn
from gateway.accounts.tenancy.people_store import begin_claim_link
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.tokens import TokenFault, make_claim_token
from gateway.config.secret import Secret
from gateway.db import Database

SECOND_NS = 1_000_000_000
NEW = "another horse"
ROWS = [
    text("SELECT * FROM users"),
    text("SELECT * FROM accounts"),
    text("SELECT * FROM projects"),
    text("SELECT * FROM members"),
    text("SELECT * FROM sessions"),
    text("SELECT * FROM audit_log"),
]


async def change_password(house: House, who: SignedIn, old: str = PASSWORD, new: str = NEW) -> SignedIn:
    """Change somebody's password."""
    return await house.people.change_password(who.person, Secret(old), Secret(new), ORIGIN, NOW_NS)


async def count_rows(database: Database) -> list[int]:
    """Count what signing up adds."""
    async with database.read() as connection:
        return [len((await connection.execute(query)).all()) for query in ROWS]


async def test_a_new_person_owns_an_account_with_a_project(house: House) -> None:
    """And is signed in there at once."""
    ada = await house.register("ada", username="Ada_L")
    assert (ada.user.email, ada.user.username, ada.user.full_name) == ("ada@example.com", "Ada_L", "ada")
    assert (ada.user.created_ns, ada.person.role, ada.person.is_operator) == (NOW_NS, "owner", False)
    assert ada.tokens.expires_in_s == 86_400
    assert await house.is_open(ada)
    assert await count_rows(house.database) == [1] * 6
    profile = await house.people.find_me(ada.person)
    assert (profile.person, profile.user) == (ada.person, ada.user)
    assert [(one.account_id, one.account_name, one.role) for one in profile.accounts] == [
        (ada.person.account_id, "ada", "owner")
    ]


async def test_a_field_that_breaks_its_rule_is_named(house: House, subtests: pytest.Subtests) -> None:
    """Before anything is hashed or stored."""
    for param, value in (
        ("email", "ada"),
        ("username", "a b"),
        ("full_name", "a\nb"),
        ("password", Secret("correct")),
        ("password", Secret("password123")),
    ):
        with subtests.test(param=param, value=value):
            with pytest.raises(Refusal) as caught:
                await house.register("ada", **{param: value})
            assert (caught.value.kind, caught.value.param) == (RefusalKind.INVALID, param)
            assert await count_rows(house.database) == [0] * 6


async def test_a_taken_address_leaves_nothing_behind(house: House) -> None:
    """The refusal tells that it is taken, and no more."""
    await house.register("ada", username="ada")
    with refused(RefusalKind.TAKEN, "'ADA@example.com' is taken"):
        await house.register("x", email="ADA@example.com", username="ada")
    assert await count_rows(house.database) == [1] * 6


async def test_of_those_who_register_one_address_at_once_one_gets_it(hosts: list[House]) -> None:
    """In any spelling, on two hosts; the others change nothing."""
    spellings = ["ada@example.com", "ADA@example.com", "Ada@Example.com", " ada@EXAMPLE.com "]
    attempts = [hosts[number % 2].register("x", email=spelling) for number, spelling in enumerate(spellings)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, SignedIn) for result in results) == 1
    assert {result.kind for result in results if isinstance(result, Refusal)} == {RefusalKind.TAKEN}
    assert await count_rows(hosts[0].database) == [1] * 6


async def test_a_closed_house_takes_only_who_is_expected(house: House) -> None:
    """Who was invited, to the account that invited, or who has the claim link."""
    closed = Admission(is_open=False)
    wanted = Registration(email="eve@example.com", password=Secret(PASSWORD))
    with refused(RefusalKind.SIGN_UP_CLOSED, "ask a member of an account for an invitation"):
        await house.people.register(wanted, closed, ORIGIN, NOW_NS)
    ada = await house.register("ada")
    bob = await house.join(ada, "bob", "viewer")
    assert (bob.person.account_id, bob.person.role) == (ada.person.account_id, "viewer")
    assert [one.role for one in (await house.people.find_me(bob.person)).accounts].count("owner") == 1
    for admission in (Admission(is_open=False, invitation=Secret("x")), Admission(is_open=False, claim=Secret("x"))):
        with refused(RefusalKind.INVALID):
            await house.people.register(wanted, admission, ORIGIN, NOW_NS)
    with refused(RefusalKind.WRONG_CREDENTIALS):
        await house.login("eve@example.com")


@pytest.mark.parametrize("email", ["ada@example.com", " ADA@Example.COM"], ids=["as-written", "otherwise"])
async def test_who_registered_can_sign_in(email: str, house: House) -> None:
    """By any spelling of the address; each sign-in is a session of its own."""
    ada = await house.register("ada")
    again = await house.login(email)
    assert again.user == ada.user
    assert again.person.session_id != ada.person.session_id
    await house.people.logout(again.person, ORIGIN, NOW_NS)
    assert await house.is_open(ada)
    assert not await house.is_open(again)


async def test_wrong_and_unknown_are_told_alike(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same words, by the same way: one hash is checked, one entry is written."""
    ada = await house.register("ada")
    taken: list[list[str]] = []
    messages: list[str] = []
    verify, write = PasswordHasher.verify, Database.write

    def note_verify(hasher: PasswordHasher, stored: str, password: bytes) -> bool:
        taken[-1].append(f"verify {stored.split('$')[3]} {len(stored)}")
        return verify(hasher, stored, password)

    def note_write(database: Database):
        taken[-1].append("write")
        return write(database)

    monkeypatch.setattr(PasswordHasher, "verify", note_verify)
    monkeypatch.setattr(Database, "write", note_write)
    for email in ("ada@example.com", "eve@example.com", "a\x00\ud800"):
        taken.append([])
        with pytest.raises(Refusal) as caught:
            await house.login(email, "wrong password")
        messages.append(str(caught.value))
    assert taken[0] == taken[1] == taken[2] != []
    assert messages == ["e-mail address or password is wrong"] * 3
    assert await house.list_actions(ada.person.account_id) == ["user.register", "user.wrong_password"]
    async with house.database.read() as connection:
        found = await connection.execute(text("SELECT object_id, origin FROM audit_log WHERE account_id IS NULL"))
        assert [tuple(row) for row in found] == [("", ORIGIN)] * 2


async def test_a_hash_of_another_cost_is_renewed_at_the_sign_in(house: House) -> None:
    """Several at once are all signed in."""
    await house.register("ada")
    dearer = Passwords(PasswordCost(memory_kib=16, passes=1, lanes=1))
    people = house.at_cost(dearer)
    await asyncio.gather(*(people.login("ada@example.com", Secret(PASSWORD), ORIGIN, NOW_NS) for _ in range(3)))
    async with house.database.read() as connection:
        assert "m=16," in (await connection.execute(text("SELECT password_hash FROM users"))).scalar_one()
    await house.login("ada@example.com")
    dearer.close()


async def test_too_many_at_once_are_told(house: House) -> None:
    """Nothing is known about them then."""
    busy = Passwords(PasswordCost(memory_kib=8, passes=1, lanes=1, max_pending=0))
    with pytest.raises(PasswordsBusy):
        await house.at_cost(busy).login("ada@example.com", Secret(PASSWORD), ORIGIN, NOW_NS)
    busy.close()
    assert await count_rows(house.database) == [0] * 6


async def test_an_access_token_tells_who_calls(house: House) -> None:
    """Until it expires; what is none is told."""
    ada = await house.register("ada")
    find = house.people.find_by_access_token
    assert await find(ada.tokens.access_token, NOW_NS) == ada.person
    assert await find(ada.tokens.access_token, NOW_NS + 86_400 * SECOND_NS) is TokenFault.EXPIRED
    assert await find(ada.tokens.refresh_token, NOW_NS) is TokenFault.MALFORMED


async def test_signing_out_ends_everything_of_the_session(house: House) -> None:
    """Cookie, access token and refresh token; twice is once."""
    ada = await house.register("ada")
    for _ in range(2):
        await house.people.logout(ada.person, ORIGIN, NOW_NS)
    assert await house.people.find_by_access_token(ada.tokens.access_token, NOW_NS) is TokenFault.ENDED
    assert not await house.is_open(ada)
    with refused(RefusalKind.VOID, "sign in again"):
        await house.people.refresh(ada.tokens.refresh_token, ORIGIN, NOW_NS)
    assert await house.list_actions(ada.person.account_id) == ["user.logout", "user.register"]


async def test_tokens_are_refreshed(house: House) -> None:
    """Row I16: new ones of the same session, each token for one use."""
    ada = await house.register("ada")
    tokens = await house.people.refresh(ada.tokens.refresh_token, ORIGIN, NOW_NS)
    assert await house.people.find_by_access_token(tokens.access_token, NOW_NS) == ada.person
    assert (await house.people.refresh(tokens.refresh_token, ORIGIN, NOW_NS)).refresh_token != tokens.refresh_token
    assert await house.is_open(ada)


async def test_a_replay_signs_everybody_out(house: House) -> None:
    """At once too; the refusal does not undo it."""
    ada = await house.register("ada")
    tokens = await house.people.refresh(ada.tokens.refresh_token, ORIGIN, NOW_NS)
    with refused(RefusalKind.VOID, "its session has been ended"):
        await house.people.refresh(ada.tokens.refresh_token, ORIGIN, NOW_NS)
    with refused(RefusalKind.VOID):
        await house.people.refresh(tokens.refresh_token, ORIGIN, NOW_NS)
    assert not await house.is_open(ada)


async def test_a_changed_password_ends_every_session(house: House) -> None:
    """And begins a fresh one for who changed it."""
    ada = await house.register("ada")
    other = await house.login("ada@example.com")
    fresh = await change_password(house, ada)
    assert [await house.is_open(one) for one in (ada, other, fresh)] == [False, False, True]
    with refused(RefusalKind.WRONG_CREDENTIALS):
        await house.login("ada@example.com")
    assert await house.is_open(await house.login("ada@example.com", NEW))
    assert "user.change_password" in await house.list_actions(ada.person.account_id)


async def test_a_password_is_changed_only_with_the_old_one(house: House) -> None:
    """And only to one that keeps the rule; a wrong old one is logged."""
    ada = await house.register("ada")
    with refused(RefusalKind.WRONG_CREDENTIALS, "the old password is wrong"):
        await change_password(house, ada, old="wrong password")
    with refused(RefusalKind.INVALID, "has 5 bytes"):
        await change_password(house, ada, new="short")
    assert await house.is_open(await house.login("ada@example.com"))
    assert "user.wrong_password" in await house.list_actions(ada.person.account_id)


async def test_of_changes_at_once_one_counts(hosts: list[House]) -> None:
    """On two hosts; the others are told, and no session of the old password is left, whenever it began."""
    ada = await hosts[0].register("ada")
    changes = [change_password(host, ada, new=f"{number} horses") for number, host in enumerate(hosts)]
    logins = [hosts[number % 2].login("ada@example.com") for number in range(6)]
    switches = [host.people.switch_account(ada.person, ada.person.account_id, ORIGIN, NOW_NS) for host in hosts]
    results = await asyncio.gather(*changes, *logins, *switches, return_exceptions=True)
    assert {type(result) for result in results} <= {SignedIn, Refusal}
    lasting = [result for result in results if isinstance(result, SignedIn) and await hosts[0].is_open(result)]
    assert lasting == [result for result in results[:2] if isinstance(result, SignedIn)]
    assert len(lasting) == 1


async def test_a_person_switches_between_accounts(house: House) -> None:
    """One session ends, the next begins; the next sign-in comes back to where they were."""
    ada = await house.register("ada")
    bob = await house.join(ada, "bob", "member")
    home = (await house.people.find_me(bob.person)).accounts
    (own,) = (one.account_id for one in home if one.account_id != ada.person.account_id)
    there = await house.people.switch_account(bob.person, own, ORIGIN, NOW_NS)
    assert (there.person.account_id, there.person.role) == (own, "owner")
    assert [await house.is_open(one) for one in (bob, there)] == [False, True]
    assert (await house.login("bob@example.com")).person.account_id == own
    with refused(RefusalKind.VOID, "the session has ended"):
        await house.people.switch_account(bob.person, own, ORIGIN, NOW_NS)


async def test_another_account_is_not_to_be_found(house: House, subtests: pytest.Subtests) -> None:
    """Whether it exists or not; the session stays."""
    ada, bob = await house.register("ada"), await house.register("bob")
    for account_id in ("acct_nowhere", "", ada.person.account_id, "a\x00", "\ud800"):
        with subtests.test(account_id=ascii(account_id)):
            with refused(RefusalKind.NOT_FOUND, "there is no account"):
                await house.people.switch_account(bob.person, account_id, ORIGIN, NOW_NS)
            assert await house.is_open(bob)


async def test_who_belongs_nowhere_is_told(house: House) -> None:
    """Only after the right password."""
    ada = await house.register("ada")
    bob = await house.join(ada, "bob", "owner")
    own = next(one for one in (await house.people.find_me(ada.person)).accounts)
    await house.members.remove_member(bob.person, ada.person.user_id, ORIGIN, NOW_NS)
    assert own.account_id == bob.person.account_id
    with refused(RefusalKind.NOT_ALLOWED, "you belong to no account any more"):
        await house.login("ada@example.com")
    with refused(RefusalKind.WRONG_CREDENTIALS):
        await house.login("ada@example.com", "wrong password")


async def test_the_first_person_claims_the_installation(hosts: list[House]) -> None:
    """By the link that every host's start shows, even where sign-up is closed; it works once."""
    house = hosts[0]
    assert await house.people.find_open_claim() == make_claim(0)
    admission = Admission(is_open=False, claim=make_claim(0))
    names = ["ada", "bob", "eve"]
    wanted = [Registration(email=f"{name}@example.com", password=Secret(PASSWORD)) for name in names]
    attempts = [hosts[n % 2].people.register(one, admission, ORIGIN, NOW_NS) for n, one in enumerate(wanted)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    (operator,) = (result for result in results if isinstance(result, SignedIn))
    assert {result.kind for result in results if isinstance(result, Refusal)} == {RefusalKind.INVALID}
    assert operator.person.is_operator
    assert await house.people.find_open_claim() is None
    assert await house.list_actions(operator.person.account_id) == ["user.register"]
    assert await house.list_actions(None) == ["installation.claim"]
    assert (await count_rows(house.database))[0] == 1


async def test_who_is_signed_in_may_claim_as_well(house: House) -> None:
    """With the right link only."""
    ada = await house.register("ada")
    with refused(RefusalKind.INVALID, "the claim link is wrong or was used"):
        await house.people.claim(ada.person, make_claim_token(bytes(32), 0), ORIGIN, NOW_NS)
    await house.people.claim(ada.person, make_claim(0), ORIGIN, NOW_NS)
    person = await house.people.find_by_cookie(ada.cookie, NOW_NS)
    assert person is not None
    assert person.is_operator
    with refused(RefusalKind.INVALID):
        await house.people.claim(ada.person, make_claim(0), ORIGIN, NOW_NS)


async def test_a_new_claim_link_ends_those_before(house: House) -> None:
    """Used or not; and it makes an operator even where there is one, who may have lost the password."""
    ada, bob = await house.register("ada"), await house.register("bob")
    await house.people.claim(ada.person, make_claim(0), ORIGIN, NOW_NS)
    async with house.database.write() as connection:
        assert await begin_claim_link(connection) == 1
    for number in (0, 2):
        with refused(RefusalKind.INVALID):
            await house.people.claim(bob.person, make_claim(number), ORIGIN, NOW_NS)
    await house.people.claim(bob.person, make_claim(1), ORIGIN, NOW_NS)
    assert [user.is_operator for user in await house.people.list_people("", 9)] == [True, True]


async def test_people_see_and_end_their_own_sessions(house: House) -> None:
    """And nobody else's."""
    ada, bob = await house.register("ada"), await house.register("bob")
    second = await house.login("ada@example.com", now_ns=NOW_NS + 1)
    listed = await house.people.list_sessions(ada.person, NOW_NS + 1)
    assert [session.session_id for session in listed] == [second.person.session_id, ada.person.session_id]
    with refused(RefusalKind.NOT_FOUND):
        await house.people.end_session(bob.person, second.person.session_id, ORIGIN, NOW_NS)
    await house.people.end_session(ada.person, second.person.session_id, ORIGIN, NOW_NS)
    assert not await house.is_open(second)
    assert len(await house.people.list_sessions(ada.person, NOW_NS + 1)) == 1
    with refused(RefusalKind.NOT_FOUND):
        await house.people.end_session(ada.person, second.person.session_id, ORIGIN, NOW_NS)


async def test_a_person_may_be_called_otherwise(house: House) -> None:
    """And it is in the log."""
    ada = await house.register("ada")
    profile = await house.people.rename(ada.person, " Ada Lovelace ", ORIGIN, NOW_NS)
    assert profile.user.full_name == "Ada Lovelace"
    assert "user.rename" in await house.list_actions(ada.person.account_id)
    with refused(RefusalKind.INVALID):
        await house.people.rename(ada.person, "a\nb", ORIGIN, NOW_NS)


async def test_nothing_shows_a_secret(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """No repr of what goes in or comes out, no log line, no row of the database."""
    caplog.set_level("DEBUG")
    wanted = Registration(email="ada@example.com", password=Secret(PASSWORD))
    ada = await house.people.register(wanted, OPEN, ORIGIN, NOW_NS)
    admission = Admission(is_open=True, invitation=Secret("invited"), claim=Secret("claimed"))
    profile = await house.people.find_me(ada.person)
    async with house.database.read() as connection:
        entries = await read_entries(connection, ada.person.account_id, 9)
        rows = str([(await connection.execute(text("SELECT * FROM sessions"))).all()])
    shown = f"{wanted!r}{ada!r}{admission!r}{profile!r}{house.people!r}{house.passwords!r}{entries!r}{rows}"
    secrets = [PASSWORD, "invited", "claimed", "$argon2", ada.cookie.reveal(), ada.tokens.refresh_token.reveal()]
    for secret in [*secrets, ada.tokens.access_token.reveal(), make_claim(0).reveal()]:
        assert secret not in shown
        assert secret == "$argon2" or secret not in caplog.text
