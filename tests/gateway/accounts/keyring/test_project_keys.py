"""Keys of a project: made, changed, rotated and revoked, within what their makers may, and told in the audit log."""

import asyncio

import pytest
from households import NOW_NS, House, refused
from keyrings import Ring

from gateway.accounts.directory import KeyFault, KeyRecord
from gateway.accounts.keyring import project_keys
from gateway.accounts.keyring.project_keys import KeyEdit, Maker
from gateway.accounts.keyring.rights import KeyWish
from gateway.accounts.tenancy.refusals import RefusalKind

S_NS = 1_000_000_000
ADMIN = frozenset({"proxy", "admin"})


async def test_a_fresh_key_is_honoured_at_once_with_all_that_it_may(ring: Ring) -> None:
    """In this process; others follow within a second."""
    fresh = await ring.create(
        name="ci",
        allowed_models=frozenset({"gpt-4"}),
        expires_ns=NOW_NS + S_NS,
        tags=("team-a", "prod"),
        requests_per_minute=5,
        tokens_per_minute=6,
        max_concurrent=7,
        is_managing=True,
    )
    assert ring.find(fresh) == KeyRecord(
        key_id=fresh.detail.key_id,
        project_id=ring.project_id,
        kind="live",
        is_managing=True,
        allowed_models=frozenset({"gpt-4"}),
        expires_ns=NOW_NS + S_NS,
        scopes=frozenset({"proxy", "usage:read"}),
        account_id=ring.account_id,
        plan="free",
        tags=("team-a", "prod"),
        requests_per_minute=5,
        tokens_per_minute=6,
        max_concurrent=7,
    )
    assert fresh.detail.made_by == ring.owner.person.user_id
    assert await ring.keys.list_keys(ring.project_id) == [fresh.detail]


async def test_an_account_key_acts_on_the_whole_account(ring: Ring) -> None:
    """Everything of the person but admin, in the project Default, which is made anew where it was deleted."""
    await ring.projects.delete(ring.project_id, ring.at())
    person = ring.owner.person
    fresh = await ring.keys.create_account_key(person, "mine", None, ring.at())
    record = ring.record(fresh)
    assert fresh.key.startswith("ak_live_")
    assert (record.is_account_wide, record.account_id, "admin" in record.scopes) == (True, ring.account_id, False)
    (project,) = await ring.projects.list_projects(ring.account_id, has_operators=False)
    assert (project.name, record.project_id) == ("Default", project.project_id)
    assert (await ring.keys.find_maker(record.key_id)).user_id == person.user_id


async def test_a_key_stands_for_a_person_only_where_one_made_it(ring: Ring) -> None:
    """One that a key made does not."""
    parent = await ring.create(scopes=ADMIN)
    child = await ring.create(Maker(key=ring.record(parent)), scopes=frozenset({"proxy"}))
    with refused(RefusalKind.NOT_FOUND, "stands for no person"):
        await ring.keys.find_maker(child.detail.key_id)


async def test_a_change_is_obeyed_at_once_and_what_is_not_named_stays(ring: Ring) -> None:
    """None takes a bound away."""
    fresh = await ring.create(name="a", requests_per_minute=5, max_concurrent=1, tags=("x",))
    edit = KeyEdit(name="b", requests_per_minute=None, tokens_per_minute=9, allowed_models=frozenset({"m"}))
    changed = await ring.keys.change(ring.by(), ring.project_id, fresh.detail.key_id, edit, ring.at())
    record = ring.record(fresh)
    assert (record.requests_per_minute, record.tokens_per_minute, record.max_concurrent) == (None, 9, 1)
    assert (record.allowed_models, record.tags, changed.name) == (frozenset({"m"}), ("x",), "b")
    assert [changed] == await ring.keys.list_keys(ring.project_id)


async def test_an_expiry_in_the_past_is_no_revocation(ring: Ring) -> None:
    """It is refused, and nothing changed."""
    fresh = await ring.create()
    with refused(RefusalKind.INVALID, "revoke the key instead"):
        edit = KeyEdit(expires_ns=NOW_NS)
        await ring.keys.change(ring.by(), ring.project_id, fresh.detail.key_id, edit, ring.at())
    assert isinstance(ring.find(fresh), KeyRecord)


@pytest.mark.row("W5")
async def test_a_rotated_key_works_until_the_overlap_is_over(ring: Ring) -> None:
    """Old and new are valid together for the chosen time; then only the new one is, with the same rights."""
    old = await ring.create(name="prod", tags=("t",), requests_per_minute=3, allowed_models=frozenset({"m"}))
    before = ring.record(old)
    rotated = await ring.keys.rotate(ring.by(), ring.project_id, old.detail.key_id, 60, ring.at())
    after = ring.record(rotated.fresh)
    assert rotated.old_ends_ns == NOW_NS + 60 * S_NS
    assert isinstance(ring.find(old, NOW_NS + 60 * S_NS - 1), KeyRecord)
    assert ring.find(old, NOW_NS + 60 * S_NS) is KeyFault.EXPIRED
    same = ("project_id", "kind", "scopes", "allowed_models", "tags", "requests_per_minute", "expires_ns")
    assert all(getattr(before, name) == getattr(after, name) for name in same)
    assert (rotated.fresh.detail.replaces, rotated.fresh.detail.name) == (old.detail.key_id, "prod")
    assert rotated.fresh.key != old.key


async def test_an_overlap_never_lengthens_a_life(ring: Ring) -> None:
    """The old key ends when it would have ended."""
    old = await ring.create(expires_ns=NOW_NS + S_NS)
    rotated = await ring.keys.rotate(ring.by(), ring.project_id, old.detail.key_id, 3_600, ring.at())
    assert rotated.old_ends_ns == NOW_NS + S_NS
    assert ring.record(rotated.fresh).expires_ns == NOW_NS + S_NS


@pytest.mark.parametrize("overlap_s", [-1, project_keys.MAX_OVERLAP_S + 1])
async def test_an_overlap_is_bounded(ring: Ring, overlap_s: int) -> None:
    """A month at most."""
    old = await ring.create()
    with refused(RefusalKind.INVALID, "overlap_s"):
        await ring.keys.rotate(ring.by(), ring.project_id, old.detail.key_id, overlap_s, ring.at())


async def test_a_key_has_one_successor(ring: Ring) -> None:
    """A second rotation names the first; of two at once one is made. An expired key has none."""
    old, brief = await ring.create(), await ring.create(expires_ns=NOW_NS + 1)
    turns = [ring.keys.rotate(ring.by(), ring.project_id, old.detail.key_id, 60, ring.at()) for _ in range(3)]
    made = [one for one in await asyncio.gather(*turns, return_exceptions=True) if not isinstance(one, Exception)]
    assert len(made) == 1
    with refused(RefusalKind.CONFLICT, "rotated already"):
        await ring.keys.rotate(ring.by(), ring.project_id, old.detail.key_id, 60, ring.at())
    with refused(RefusalKind.CONFLICT, "has expired"):
        await ring.keys.rotate(ring.by(), ring.project_id, brief.detail.key_id, 60, ring.at(now_ns=NOW_NS + 1))


async def test_a_revoked_key_takes_along_what_it_made(ring: Ring) -> None:
    """And what that made: a thief's back doors close with the front door. Others' keys stay."""
    parent, other = await ring.create(scopes=ADMIN), await ring.create()
    child = await ring.create(Maker(key=ring.record(parent)), scopes=ADMIN)
    grandchild = await ring.create(Maker(key=ring.record(child)), scopes=frozenset({"proxy"}))
    await ring.keys.revoke(ring.by(), ring.project_id, parent.detail.key_id, ring.at())
    assert [ring.find(key) for key in (parent, child, grandchild)] == [KeyFault.REVOKED] * 3
    assert isinstance(ring.find(other), KeyRecord)
    assert await ring.keys.list_keys(ring.project_id) == [other.detail]


async def test_a_revoked_key_makes_nothing_though_somebody_still_believes_it(ring: Ring) -> None:
    """A process that has not heard of the revocation yet asks the database."""
    parent = await ring.create(scopes=ADMIN)
    stale = Maker(key=ring.record(parent))
    await ring.keys.revoke(ring.by(), ring.project_id, parent.detail.key_id, ring.at())
    with refused(RefusalKind.NOT_ALLOWED, "revoked a moment ago"):
        await ring.create(stale, scopes=frozenset({"proxy"}))


async def test_a_key_whose_maker_stepped_down_touches_no_key(ring: Ring, house: House) -> None:
    """Though a process still believes that it manages keys; the one that changed the role knows at once."""
    bob = await house.join(ring.owner, "bob", "admin")
    parent, other = await ring.create(ring.by(bob), scopes=ADMIN), await ring.create()
    stale = Maker(key=ring.record(parent))
    follows = house.follows
    await house.members.change_role(ring.owner.person, bob.person.user_id, "member", "here", NOW_NS)
    assert house.follows == follows + 1
    place = (ring.project_id, other.detail.key_id)
    for deed in (
        ring.create(stale, scopes=frozenset({"proxy"})),
        ring.keys.change(stale, *place, KeyEdit(name="x"), ring.at()),
        ring.keys.rotate(stale, *place, 0, ring.at()),
        ring.keys.revoke(stale, *place, ring.at()),
    ):
        with refused(RefusalKind.NOT_ALLOWED, "lost the scope 'admin'"):
            await deed
    await house.members.remove_member(ring.owner.person, bob.person.user_id, "here", NOW_NS)
    assert house.follows == follows + 2


async def test_a_key_stays_within_its_makers_key(ring: Ring) -> None:
    """Wider models, a longer life and higher limits are refused; left open they are the maker's."""
    parent = await ring.create(scopes=ADMIN, allowed_models=frozenset({"a", "b"}), requests_per_minute=5)
    maker = Maker(key=ring.record(parent))
    child = ring.record(await ring.create(maker, scopes=frozenset({"proxy"})))
    assert (child.allowed_models, child.requests_per_minute) == (frozenset({"a", "b"}), 5)
    for wish in ({"allowed_models": frozenset({"c"})}, {"requests_per_minute": 6}, {"scopes": frozenset({"gpu"})}):
        with refused(RefusalKind.NOT_ALLOWED, "never may more than its maker"):
            await ring.create(maker, **{"scopes": frozenset({"proxy"}), **wish})


async def test_what_a_key_makes_bears_its_tags(ring: Ring) -> None:
    """Budgets on a tag find it by them; more may be added, and nobody's key sheds its own."""
    parent = await ring.create(scopes=ADMIN, tags=("team-a",))
    maker = Maker(key=ring.record(parent))
    child = await ring.create(maker, scopes=ADMIN, tags=("ci",))
    assert child.detail.tags == ("team-a", "ci")
    for key in (parent, child):
        with refused(RefusalKind.NOT_ALLOWED, "your own tags 'team-a'"):
            await ring.keys.change(maker, ring.project_id, key.detail.key_id, KeyEdit(tags=("ci",)), ring.at())
    # A person may.
    edit = KeyEdit(tags=())
    assert (await ring.keys.change(ring.by(), ring.project_id, child.detail.key_id, edit, ring.at())).tags == ()


async def test_a_key_does_not_loosen_its_own_limits(ring: Ring) -> None:
    """Neither raised nor taken away."""
    fresh = await ring.create(scopes=ADMIN, requests_per_minute=5)
    maker = Maker(key=ring.record(fresh))
    for limit in (6, None):
        with refused(RefusalKind.NOT_ALLOWED, "requests_per_minute above 5"):
            edit = KeyEdit(requests_per_minute=limit)
            await ring.keys.change(maker, ring.project_id, fresh.detail.key_id, edit, ring.at())


async def test_what_a_key_makes_counts_in_its_makers_limits(ring: Ring) -> None:
    """In those that the maker has, down to the last key and its successors: many keys may no more than one."""
    parent = await ring.create(scopes=ADMIN, requests_per_minute=5)
    root_id = parent.detail.key_id
    child = await ring.create(Maker(key=ring.record(parent)), scopes=ADMIN, tokens_per_minute=9)
    maker = Maker(key=ring.record(child))
    grandchild = await ring.create(maker, scopes=frozenset({"proxy"}))
    rotated = await ring.keys.rotate(maker, ring.project_id, child.detail.key_id, 60, ring.at())
    for key in (child, grandchild, rotated.fresh):
        record = ring.record(key)
        assert (record.count_in("requests_per_minute"), record.requests_per_minute) == (root_id, 5)
        assert record.count_in("tokens_per_minute") == child.detail.key_id
    # A key changes nothing of that; what a person sets is the key's own.
    key_id = grandchild.detail.key_id
    for by, counted in ((Maker(key=ring.record(parent)), root_id), (ring.by(), key_id)):
        await ring.keys.change(by, ring.project_id, key_id, KeyEdit(requests_per_minute=4), ring.at())
        assert ring.record(grandchild).count_in("requests_per_minute") == counted
        assert ring.record(grandchild).count_in("tokens_per_minute") == child.detail.key_id


async def test_a_key_that_renewed_itself_outlives_what_it_was(ring: Ring) -> None:
    """Its successor is of whoever made it; one that a key renews for another ends with the key that knows it."""
    old, other = await ring.create(scopes=ADMIN), await ring.create(scopes=frozenset({"proxy"}))
    maker = Maker(key=ring.record(old))
    renewed = await ring.keys.rotate(maker, ring.project_id, other.detail.key_id, 60, ring.at())
    rotated = await ring.keys.rotate(maker, ring.project_id, old.detail.key_id, 60, ring.at())
    assert rotated.fresh.detail.made_by == ring.owner.person.user_id
    await ring.keys.revoke(ring.by(), ring.project_id, old.detail.key_id, ring.at())
    assert isinstance(ring.find(rotated.fresh), KeyRecord)
    assert ring.find(renewed.fresh) is KeyFault.REVOKED


async def test_what_a_key_made_does_not_outlive_it(ring: Ring) -> None:
    """Neither its expiry, set by whomever, nor its rotation: a thief's back doors close with the front door."""
    for way in ("expire", "rotate", "renew"):
        parent = await ring.create(scopes=ADMIN)
        child = await ring.create(Maker(key=ring.record(parent)), scopes=ADMIN)
        grandchild = await ring.create(Maker(key=ring.record(child)), scopes=frozenset({"proxy"}))
        place = (ring.project_id, parent.detail.key_id)
        if way == "expire":
            await ring.keys.change(ring.by(), *place, KeyEdit(expires_ns=NOW_NS + S_NS), ring.at())
        else:
            maker = Maker(key=ring.record(parent)) if way == "renew" else ring.by()
            rotated = await ring.keys.rotate(maker, *place, 1, ring.at())
            assert isinstance(ring.find(rotated.fresh, NOW_NS + S_NS), KeyRecord)
        family = (parent, child, grandchild)
        assert all(isinstance(ring.find(key, NOW_NS + S_NS - 1), KeyRecord) for key in family)
        assert [ring.find(key, NOW_NS + S_NS) for key in family] == [KeyFault.EXPIRED] * 3
        assert {action for _, action, key_id in await ring.list_deeds() if key_id == grandchild.detail.key_id} == {
            "key.create",
            "key.shorten",
        }


async def test_nobody_lets_a_key_live_longer_than_the_one_that_made_it(ring: Ring) -> None:
    """A person neither; up to its maker's end they may, and a successor that a person asks for has its end too."""
    parent = await ring.create(scopes=ADMIN, expires_ns=NOW_NS + 5 * S_NS)
    child = await ring.create(Maker(key=ring.record(parent)), scopes=frozenset({"proxy"}), expires_ns=NOW_NS + S_NS)
    place = (ring.project_id, child.detail.key_id)
    for ends_ns in (None, NOW_NS + 5 * S_NS + 1):
        with refused(RefusalKind.INVALID, parent.detail.key_id):
            await ring.keys.change(ring.by(), *place, KeyEdit(expires_ns=ends_ns), ring.at())
    changed = await ring.keys.change(ring.by(), *place, KeyEdit(expires_ns=NOW_NS + 5 * S_NS), ring.at())
    assert changed.expires_ns == NOW_NS + 5 * S_NS
    rotated = await ring.keys.rotate(ring.by(), *place, 0, ring.at())
    assert ring.record(rotated.fresh).expires_ns == NOW_NS + 5 * S_NS


async def test_what_a_maker_has_become_counts_though_somebody_believes_otherwise(ring: Ring) -> None:
    """A process that has not heard of it asks the database: of a shorter life, fewer models, and the end."""
    parent = await ring.create(scopes=ADMIN)
    stale = Maker(key=ring.record(parent))
    place = (ring.project_id, parent.detail.key_id)
    edit = KeyEdit(expires_ns=NOW_NS + S_NS, allowed_models=frozenset({"m"}))
    await ring.keys.change(ring.by(), *place, edit, ring.at())
    child = await ring.create(stale, scopes=frozenset({"proxy"}))
    assert (child.detail.expires_ns, child.detail.allowed_models) == (NOW_NS + S_NS, frozenset({"m"}))
    await ring.keys.rotate(ring.by(), *place, 0, ring.at())
    with refused(RefusalKind.NOT_ALLOWED, "expired a moment ago"):
        await ring.create(stale, scopes=frozenset({"proxy"}))


async def test_a_member_touches_their_own_keys_alone(ring: Ring, house: House) -> None:
    """They make keys within their role; an owner's key is neither changed nor renewed nor revoked by them."""
    bob = await house.join(ring.owner, "bob", "member")
    theirs, owners = await ring.create(ring.by(bob)), await ring.create()
    key_id = owners.detail.key_id
    for deed in (
        ring.keys.revoke(ring.by(bob), ring.project_id, key_id, ring.at(bob)),
        ring.keys.rotate(ring.by(bob), ring.project_id, key_id, 0, ring.at(bob)),
        ring.keys.change(ring.by(bob), ring.project_id, key_id, KeyEdit(name="x"), ring.at(bob)),
    ):
        with refused(RefusalKind.NOT_ALLOWED, "made by somebody else"):
            await deed
    with refused(RefusalKind.NOT_ALLOWED, "'billing'"):
        await ring.create(ring.by(bob), scopes=frozenset({"billing"}))
    await ring.keys.revoke(ring.by(bob), ring.project_id, theirs.detail.key_id, ring.at(bob))
    assert ring.find(theirs) is KeyFault.REVOKED


async def test_an_admin_does_not_renew_a_key_that_may_more_than_they(ring: Ring, house: House) -> None:
    """They would get to know a key with rights that are not theirs; revoking it is their right."""
    bob = await house.join(ring.owner, "bob", "admin")
    strong = await ring.create(scopes=frozenset({"billing"}))
    with refused(RefusalKind.NOT_ALLOWED, "'billing'"):
        await ring.keys.rotate(ring.by(bob), ring.project_id, strong.detail.key_id, 0, ring.at(bob))
    await ring.keys.revoke(ring.by(bob), ring.project_id, strong.detail.key_id, ring.at(bob))


async def test_who_is_no_member_any_more_makes_nothing(ring: Ring, house: House) -> None:
    """Though their request came in before."""
    bob = await house.join(ring.owner, "bob", "admin")
    await house.members.remove_member(ring.owner.person, bob.person.user_id, "here", NOW_NS)
    with refused(RefusalKind.NOT_FOUND):
        await ring.create(ring.by(bob))


async def test_a_key_of_another_project_is_not_there(ring: Ring) -> None:
    """A guessed id leads nowhere."""
    other = await ring.projects.create(ring.by(), "other", None, ring.at())
    for key_id in (other.key.detail.key_id, "key_nothing"):
        with refused(RefusalKind.NOT_FOUND, "no key"):
            await ring.keys.revoke(ring.by(), ring.project_id, key_id, ring.at())


async def test_a_project_has_so_many_keys(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revoked ones do not count."""
    monkeypatch.setattr(project_keys, "MAX_KEYS", 1)
    first = await ring.create()
    with refused(RefusalKind.CONFLICT, "1 keys"):
        await ring.create()
    await ring.keys.revoke(ring.by(), ring.project_id, first.detail.key_id, ring.at())
    await ring.create()


async def test_keys_that_are_over_make_room(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest over first: who rotates for ever is never told that there are too many; those that live stay."""
    monkeypatch.setattr(project_keys, "MAX_KEYS", 3)
    current, other = await ring.create(), await ring.create()
    gone: list[str] = []
    for turn in range(4):
        now = ring.at(now_ns=NOW_NS + turn)
        rotated = await ring.keys.rotate(ring.by(), ring.project_id, current.detail.key_id, 0, now)
        gone.append(current.detail.key_id)
        assert ring.find(current, NOW_NS + turn) is KeyFault.EXPIRED
        current = rotated.fresh
    listed = {key.key_id for key in await ring.keys.list_keys(ring.project_id)}
    assert listed == {current.detail.key_id, other.detail.key_id, gone[-1]}
    await ring.keys.create(ring.by(), ring.project_id, KeyWish(), ring.at(now_ns=NOW_NS + 9))
    with refused(RefusalKind.CONFLICT, "3 keys"):
        await ring.keys.create(ring.by(), ring.project_id, KeyWish(), ring.at(now_ns=NOW_NS + 9))


async def test_a_deleted_project_gets_no_key(ring: Ring) -> None:
    """Whoever comes a moment too late is told."""
    await ring.projects.delete(ring.project_id, ring.at())
    with refused(RefusalKind.NOT_FOUND, "no project"):
        await ring.keys.create(ring.by(), ring.project_id, KeyWish(), ring.at())


@pytest.mark.row("E4")
async def test_every_deed_is_in_the_audit_log(ring: Ring, house: House) -> None:
    """Scoped keys, their rotation and their end, by person across the team; never a key's text."""
    bob = await house.join(ring.owner, "bob", "admin")
    fresh = await ring.create(ring.by(bob), scopes=frozenset({"inference"}))
    key_id = fresh.detail.key_id
    assert ring.record(fresh).scopes == {"inference"}
    await ring.keys.change(ring.by(), ring.project_id, key_id, KeyEdit(name="x"), ring.at())
    rotated = await ring.keys.rotate(ring.by(bob), ring.project_id, key_id, 60, ring.at(bob))
    await ring.keys.revoke(ring.by(), ring.project_id, key_id, ring.at())
    deeds = await ring.list_deeds()
    ann_id, bob_id = ring.owner.person.user_id, bob.person.user_id
    assert {(ann_id, "key.change", key_id), (ann_id, "key.revoke", key_id)} <= set(deeds)
    assert (bob_id, "key.rotate", rotated.fresh.detail.key_id) in deeds
    assert all(fresh.key not in str(deed) for deed in deeds)
