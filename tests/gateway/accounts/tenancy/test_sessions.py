"""Sessions: found by what they brought, ended as one, and a refresh token works once."""

import asyncio
from pathlib import Path

import pytest
from households import MASTER, NOW_NS, ORIGIN, House
from sqlalchemy import text

from gateway.accounts.audit import read_entries
from gateway.accounts.tenancy import sessions
from gateway.accounts.tenancy.people import SignedIn
from gateway.accounts.tenancy.sessions import Lifetimes, OpenedSession, Person, Refreshed, RefreshFault
from gateway.accounts.tenancy.tokens import AccessClaims, AccessTokens, make_opaque_token
from gateway.config.secret import Secret
from gateway.db import Database

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
LIFETIMES = Lifetimes()
ROWS = (text("SELECT * FROM sessions"), text("SELECT * FROM refresh_tokens"))


@pytest.fixture
async def ada(house: House) -> SignedIn:
    """Somebody who has a session already; the tests open others."""
    return await house.register("ada")


async def open_session(database: Database, ada: SignedIn, now_ns: int = NOW_NS) -> OpenedSession:
    """Open another session of hers."""
    async with database.write() as connection:
        return await sessions.open_session(connection, ada.person.user_id, ada.person.account_id, LIFETIMES, now_ns)


async def find(database: Database, opened: OpenedSession, now_ns: int = NOW_NS) -> Person | None:
    """Find her by the cookie."""
    return await sessions.find_by_cookie(database, opened.cookie, LIFETIMES, now_ns)


async def refresh(database: Database, token: Secret, now_ns: int = NOW_NS) -> Refreshed | RefreshFault:
    """Use a refresh token."""
    async with database.write() as connection:
        return await sessions.refresh(connection, token, LIFETIMES, ORIGIN, now_ns)


async def refresh_well(database: Database, token: Secret, now_ns: int = NOW_NS) -> Secret:
    """Use a refresh token that is honoured, and give the next."""
    refreshed = await refresh(database, token, now_ns)
    assert isinstance(refreshed, Refreshed)
    return refreshed.refresh_token


def claims_of(opened: OpenedSession, ada: SignedIn, **changes: str) -> AccessClaims:
    """What an access token of the session says."""
    ids = {"user_id": ada.person.user_id, "account_id": ada.person.account_id, "session_id": opened.session_id}
    claims = AccessTokens(MASTER).read(AccessTokens(MASTER).issue(**{**ids, **changes}, now_ns=NOW_NS), NOW_NS)
    assert isinstance(claims, AccessClaims)
    return claims


async def test_a_session_is_found_by_its_cookie(database: Database, ada: SignedIn) -> None:
    """With the role that the person has at this moment."""
    opened = await open_session(database, ada)
    person = await find(database, opened)
    assert person is not None
    assert (person.user_id, person.account_id) == (ada.person.user_id, ada.person.account_id)
    assert (person.role, person.is_operator, person.session_id) == ("owner", False, opened.session_id)


async def test_an_unknown_cookie_finds_nobody(database: Database, ada: SignedIn) -> None:
    """Nor does the refresh token, or nothing at all."""
    opened = await open_session(database, ada)
    for cookie in (make_opaque_token(), opened.refresh_token, Secret(""), Secret("\ud800")):
        assert await sessions.find_by_cookie(database, cookie, LIFETIMES, NOW_NS) is None


async def test_a_session_is_found_by_the_claims_of_its_access_tokens(database: Database, ada: SignedIn) -> None:
    """All of them must fit."""
    opened = await open_session(database, ada)
    assert await sessions.find_by_claims(database, claims_of(opened, ada)) == await find(database, opened)
    for changes in ({"user_id": "user_x"}, {"account_id": "acct_x"}, {"session_id": "sess_x"}):
        assert await sessions.find_by_claims(database, claims_of(opened, ada, **changes)) is None


async def test_secrets_are_stored_as_digests(database: Database, ada: SignedIn, tmp_path: Path) -> None:
    """A stolen copy of the database signs in nowhere, and nothing shows them by accident."""
    opened = await open_session(database, ada)
    secrets = [opened.cookie.reveal(), opened.refresh_token.reveal()]
    async with database.read() as connection:
        rows = str([(await connection.execute(query)).all() for query in ROWS])
    for secret in secrets:
        assert secret not in rows + repr(opened)
        assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())


async def test_an_idle_cookie_expires(database: Database, ada: SignedIn) -> None:
    """24 h after its last use, to the nanosecond."""
    opened = await open_session(database, ada)
    assert await find(database, opened, NOW_NS + DAY_NS - 1) is not None
    assert await find(database, opened, NOW_NS + 2 * DAY_NS - 2) is not None
    assert await find(database, opened, NOW_NS + 3 * DAY_NS - 2) is None


async def test_a_busy_cookie_expires_too(database: Database, ada: SignedIn) -> None:
    """30 days after it was made."""
    opened = await open_session(database, ada)
    for day in range(1, 40):
        now_ns = NOW_NS + day * (DAY_NS - 1)
        assert (await find(database, opened, now_ns) is None) == (now_ns >= NOW_NS + 30 * DAY_NS)


async def test_a_use_is_noted_once_a_minute(database: Database, ada: SignedIn) -> None:
    """Not every request writes."""
    opened = await open_session(database, ada)

    async def read_seen_ns() -> int:
        async with database.read() as connection:
            query = text("SELECT seen_ns FROM sessions WHERE session_id = :session_id")
            return (await connection.execute(query, {"session_id": opened.session_id})).scalar_one()

    for passed_s, noted_s in ((59, 0), (60, 60), (119, 60), (5, 60), (120, 120)):
        await find(database, opened, NOW_NS + passed_s * SECOND_NS)
        assert await read_seen_ns() == NOW_NS + noted_s * SECOND_NS


async def test_an_ended_session_takes_everything_with_it(database: Database, ada: SignedIn) -> None:
    """Cookie, access tokens and refresh tokens; once."""
    opened = await open_session(database, ada)
    token = await refresh_well(database, opened.refresh_token)
    for was_open in (True, False):
        async with database.write() as connection:
            assert await sessions.end_session(connection, opened.session_id, NOW_NS) is was_open
    assert await find(database, opened) is None
    assert await sessions.find_by_claims(database, claims_of(opened, ada)) is None
    assert await refresh(database, token) is RefreshFault.UNKNOWN


async def test_all_sessions_of_a_person_end_at_once(database: Database, house: House, ada: SignedIn) -> None:
    """In one account, or in all; nobody else's."""
    bob = await house.register("bob")
    opened = await open_session(database, ada)
    async with database.write() as connection:
        await sessions.end_sessions(connection, ada.person.user_id, bob.person.account_id, NOW_NS)
    assert await find(database, opened) is not None
    async with database.write() as connection:
        await sessions.end_sessions(connection, ada.person.user_id, None, NOW_NS)
    assert await find(database, opened) is None
    assert not await house.is_open(ada)
    assert await house.is_open(bob)


async def test_a_refresh_token_brings_the_next(database: Database, ada: SignedIn) -> None:
    """Of the same session, each another."""
    opened = await open_session(database, ada)
    tokens = [opened.refresh_token]
    for day in range(3):
        tokens.append(await refresh_well(database, tokens[-1], NOW_NS + day * DAY_NS))
    assert len({token.reveal() for token in tokens}) == 4
    refreshed = await refresh(database, tokens[-1], NOW_NS + 3 * DAY_NS)
    assert isinstance(refreshed, Refreshed)
    assert refreshed.person == await find(database, opened)
    assert tokens[-1].reveal() not in repr(refreshed)


@pytest.mark.parametrize("passed_ns", [-SECOND_NS, 0, SECOND_NS, DAY_NS])
async def test_a_replayed_token_ends_the_session(database: Database, ada: SignedIn, passed_ns: int) -> None:
    """However soon after its use, whoever it was; thief and owner are both out, and the log tells."""
    opened = await open_session(database, ada)
    latest = await refresh_well(database, opened.refresh_token)
    assert await refresh(database, opened.refresh_token, NOW_NS + passed_ns) is RefreshFault.REPLAYED
    assert await refresh(database, latest, NOW_NS + DAY_NS) is RefreshFault.UNKNOWN
    assert await find(database, opened) is None
    async with database.read() as connection:
        entries = await read_entries(connection, ada.person.account_id, 9)
    (entry,) = (entry for entry in entries if entry.action == "session.replay")
    assert (entry.object_id, entry.actor_kind, entry.origin) == (opened.session_id, "nobody", ORIGIN)


async def test_of_refreshes_at_once_one_wins_and_its_token_is_void(hosts: list[House]) -> None:
    """On two hosts: one of the others ends the session, once, which the rest find ended."""
    ada = await hosts[0].register("ada")
    attempts = [refresh(hosts[number % 2].database, ada.tokens.refresh_token) for number in range(6)]
    outcomes = await asyncio.gather(*attempts)
    (winner,) = (outcome for outcome in outcomes if isinstance(outcome, Refreshed))
    assert outcomes.count(RefreshFault.REPLAYED) >= 1
    assert await refresh(hosts[0].database, winner.refresh_token) is RefreshFault.UNKNOWN
    assert not await hosts[0].is_open(ada)


async def test_a_refresh_token_expires(database: Database, ada: SignedIn) -> None:
    """After 30 days of its own."""
    opened = await open_session(database, ada)
    assert await refresh(database, opened.refresh_token, NOW_NS + 30 * DAY_NS) is RefreshFault.UNKNOWN
    await refresh_well(database, opened.refresh_token, NOW_NS + 30 * DAY_NS - 1)


async def test_a_family_of_tokens_expires(database: Database, ada: SignedIn) -> None:
    """90 days after the sign-in, however often it was refreshed."""
    token = (await open_session(database, ada)).refresh_token
    for day in range(20, 90, 20):
        token = await refresh_well(database, token, NOW_NS + day * DAY_NS)
    assert await refresh(database, token, NOW_NS + 90 * DAY_NS) is RefreshFault.UNKNOWN
    await refresh_well(database, token, NOW_NS + 90 * DAY_NS - 1)


async def test_an_unknown_refresh_token_is_told(database: Database, ada: SignedIn) -> None:
    """A cookie is none, and an access token neither."""
    for token in (make_opaque_token(), ada.cookie, ada.tokens.access_token, Secret("")):
        assert await refresh(database, token) is RefreshFault.UNKNOWN


async def test_what_is_over_is_deleted(database: Database, ada: SignedIn) -> None:
    """Nothing piles up, and nothing that is of use goes."""
    opened = await open_session(database, ada, NOW_NS + 10 * DAY_NS)

    async def count() -> tuple[int, int]:
        async with database.read() as connection:
            counts = [len((await connection.execute(query)).all()) for query in ROWS]
        return counts[0], counts[1]

    left = []
    for day in (10, 35, 95, 101):
        async with database.write() as connection:
            await sessions.purge(connection, LIFETIMES, NOW_NS + day * DAY_NS, 100)
        left.append(await count())
        if day == 35:
            await refresh_well(database, opened.refresh_token, NOW_NS + day * DAY_NS)
    assert left == [(2, 2), (2, 1), (1, 0), (0, 0)]


async def test_a_round_of_deleting_has_a_bound(database: Database, ada: SignedIn) -> None:
    """What is left is for the next."""
    for _ in range(4):
        await open_session(database, ada)
    later_ns = NOW_NS + 200 * DAY_NS
    counts = []
    for _ in range(4):
        async with database.write() as connection:
            counts.append(await sessions.purge(connection, LIFETIMES, later_ns, 2))
    # Deleting a session takes its refresh token along.
    assert counts[0] == 4
    assert counts[-1] == 0


async def test_sessions_are_listed_by_person(database: Database, ada: SignedIn) -> None:
    """The open ones, the newest first; one that is too old for any of its tokens is none."""
    opened = await open_session(database, ada, NOW_NS + DAY_NS)
    user_id = ada.person.user_id

    async def list_ids(now_ns: int) -> list[str]:
        async with database.read() as connection:
            return [each.session_id for each in await sessions.list_sessions(connection, user_id, LIFETIMES, now_ns)]

    assert await list_ids(NOW_NS + DAY_NS) == [opened.session_id, ada.person.session_id]
    assert await list_ids(NOW_NS + 90 * DAY_NS) == [opened.session_id]
    async with database.write() as connection:
        assert not await sessions.end_own_session(connection, "user_other", opened.session_id, NOW_NS)
        assert not await sessions.end_own_session(connection, user_id, "\0", NOW_NS)
        assert await sessions.end_own_session(connection, user_id, opened.session_id, NOW_NS)
        assert not await sessions.end_own_session(connection, user_id, opened.session_id, NOW_NS)
    assert await list_ids(NOW_NS) == [ada.person.session_id]
