"""An account's name and zone, who may change them, and who reads its log."""

import pytest
from households import NOW_NS, ORIGIN, House, refused

from gateway.accounts.tenancy.account import AuditPage, check_zone
from gateway.accounts.tenancy.people import SignedIn
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.accounts.tenancy.roles import Role


@pytest.fixture
async def ada(house: House) -> SignedIn:
    """An owner."""
    return await house.register("ada")


async def test_an_owner_renames_the_account_and_sets_its_zone(house: House, ada: SignedIn) -> None:
    """Each alone or both; the log tells it."""
    await house.accounts.change(ada.person, " Analytical Engines ", None, ORIGIN, NOW_NS)
    changed = await house.accounts.change(ada.person, None, "Europe/London", ORIGIN, NOW_NS)
    assert await house.accounts.find(ada.person) == changed
    assert house.zones == [(ada.person.account_id, "Europe/London")]
    assert (changed.name, changed.zone, changed.plan) == ("Analytical Engines", "Europe/London", "free")
    page = await house.accounts.read_log(ada.person, 9, None)
    told = sorted(entry.detail for entry in page.entries if entry.action == "account.change")
    assert told == ["name 'Analytical Engines'", "zone 'Europe/London'"]
    # Set to what it is, it moves nobody's days.
    await house.accounts.change(ada.person, None, "Europe/London", ORIGIN, NOW_NS)
    assert len(house.zones) == 1


async def test_a_rule_that_is_broken_changes_nothing(house: House, ada: SignedIn, subtests: pytest.Subtests) -> None:
    """The field is named."""
    before = await house.accounts.find(ada.person)
    for name, zone, param in ((None, None, "name"), (" ", None, "name"), ("a\nb", None, "name"), ("x", "Mars", "zone")):
        with subtests.test(name=name, zone=zone):
            with pytest.raises(Refusal) as caught:
                await house.accounts.change(ada.person, name, zone, ORIGIN, NOW_NS)
            assert (caught.value.kind, caught.value.param) == (RefusalKind.INVALID, param)
            assert await house.accounts.find(ada.person) == before


async def test_only_owners_change_the_account(house: House, ada: SignedIn, subtests: pytest.Subtests) -> None:
    """Everybody in it sees it."""
    roles: tuple[Role, ...] = ("admin", "member", "viewer")
    for role in roles:
        with subtests.test(role=role):
            other = await house.join(ada, f"the-{role}", role)
            assert (await house.accounts.find(other.person)).account_id == ada.person.account_id
            with refused(RefusalKind.NOT_ALLOWED):
                await house.accounts.change(other.person, "mine now", None, ORIGIN, NOW_NS)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3"])
def test_a_zone_of_the_iana_database_is_one(zone: str) -> None:
    """By its own name."""
    assert check_zone(zone) == zone


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Mars/Olympus",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe",
        "right/UTC",
        "utc\0",
        "A" * 65,
        "zone.tab",
        "localtime",
        "Factory",
    ],
)
def test_anything_else_is_none(zone: str) -> None:
    """No path, no folder, no file of another kind."""
    with refused(RefusalKind.INVALID, "is no time zone"):
        check_zone(zone)


async def test_the_log_is_read_by_pages(house: House, ada: SignedIn) -> None:
    """Without a gap; what is older than the oldest is nothing."""
    for number in range(5):
        await house.accounts.change(ada.person, f"name {number}", None, ORIGIN, NOW_NS + number)
    pages: list[AuditPage] = [await house.accounts.read_log(ada.person, 2, None)]
    while pages[-1].before is not None:
        pages.append(await house.accounts.read_log(ada.person, 2, pages[-1].before))
    entries = [entry for page in pages for entry in page.entries]
    assert entries == (await house.accounts.read_log(ada.person, 99, None)).entries
    assert len(entries) == 6
    with refused(RefusalKind.INVALID, "there is no entry"):
        await house.accounts.read_log(ada.person, 2, "audit_\0")


async def test_another_accounts_log_stays_closed(house: House, ada: SignedIn) -> None:
    """Its entries are no place to begin at, a member may not read, and the installation's log is another one."""
    bob = await house.register("bob")
    member = await house.join(ada, "eve", "member")
    entry = (await house.accounts.read_log(bob.person, 1, None)).entries[0]
    with refused(RefusalKind.INVALID):
        await house.accounts.read_log(ada.person, 9, entry.audit_id)
    with refused(RefusalKind.NOT_ALLOWED):
        await house.accounts.read_log(member.person, 9, None)
    with refused(RefusalKind.WRONG_CREDENTIALS):
        await house.login("nobody@example.com")
    installation = (await house.accounts.read_installation_log(9, None)).entries
    assert [each.action for each in installation] == ["user.wrong_password"]
