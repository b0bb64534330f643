"""Keys follow the role of whoever made them."""

from households import NOW_NS, House, refused
from keyrings import Ring

from gateway.accounts.directory import KeyFault, KeyRecord
from gateway.accounts.keyring.project_keys import FreshKey, KeyEdit, Maker
from gateway.accounts.tenancy.refusals import RefusalKind

ADMIN = frozenset({"proxy", "admin", "gpu"})
S_NS = 1_000_000_000


async def make_line(ring: Ring, *wishes: dict[str, object]) -> list[FreshKey]:
    """Keys of which each made the next; a person made the first."""
    made: list[FreshKey] = []
    for wish in wishes:
        maker = Maker(key=ring.record(made[-1])) if made else ring.by()
        made.append(await ring.create(maker, scopes=frozenset({"proxy", "admin"}), **wish))
    return made


async def change(ring: Ring, key: FreshKey, edit: KeyEdit) -> None:
    """Ann changes a key."""
    await ring.keys.change(ring.by(), ring.project_id, key.detail.key_id, edit, ring.at())


async def test_who_leaves_takes_their_keys_along(ring: Ring, house: House) -> None:
    """They know them; the keys that those made end too, everybody else's stay."""
    bob = await house.join(ring.owner, "bob", "admin")
    his, hers = await ring.create(ring.by(bob), scopes=ADMIN), await ring.create()
    child = await ring.create(Maker(key=ring.record(his)), scopes=frozenset({"proxy"}))
    await house.members.remove_member(ring.owner.person, bob.person.user_id, "here", NOW_NS)
    await ring.directory.refresh()
    assert [ring.find(key) for key in (his, child)] == [KeyFault.REVOKED] * 2
    assert isinstance(ring.find(hers), KeyRecord)
    deeds = {(action, thing) for _, action, thing in await ring.list_deeds()}
    assert {("key.revoke", his.detail.key_id), ("key.revoke", child.detail.key_id)} <= deeds


async def test_who_steps_down_leaves_weaker_keys(ring: Ring, house: House) -> None:
    """What the new role does not permit is gone from the keys, and what it permits stays."""
    bob = await house.join(ring.owner, "bob", "admin")
    strong = await ring.create(ring.by(bob), scopes=ADMIN, is_managing=True)
    weak = await ring.create(ring.by(bob))
    await house.members.change_role(ring.owner.person, bob.person.user_id, "member", "here", NOW_NS)
    await ring.directory.refresh()
    narrowed = ring.record(strong)
    assert (narrowed.scopes, narrowed.is_managing) == (frozenset({"proxy"}), False)
    assert ring.record(weak).scopes == {"proxy", "usage:read"}
    narrowings = [thing for _, action, thing in await ring.list_deeds() if action == "key.narrow"]
    assert narrowings == [strong.detail.key_id]


async def test_who_rises_gets_no_stronger_keys(ring: Ring, house: House) -> None:
    """A key has what it was made with."""
    bob = await house.join(ring.owner, "bob", "member")
    fresh = await ring.create(ring.by(bob))
    await house.members.change_role(ring.owner.person, bob.person.user_id, "admin", "here", NOW_NS)
    await ring.directory.refresh()
    assert ring.record(fresh).scopes == {"proxy", "usage:read"}


async def test_keys_in_another_account_stay(ring: Ring, house: House) -> None:
    """Bob's own account is not Ann's affair."""
    bob = await house.register("bob")
    made = await house.members.invite(ring.owner.person, "bob@example.com", "admin", "here", NOW_NS)
    await house.members.accept_invitation(bob.person, made.token, "here", NOW_NS)
    own = Ring(house, bob, ring.directory, "")
    (project,) = await own.projects.list_projects(own.account_id, has_operators=False)
    own.project_id = project.project_id
    fresh = await own.create()
    await house.members.remove_member(ring.owner.person, bob.person.user_id, "here", NOW_NS)
    await ring.directory.refresh()
    assert isinstance(ring.find(fresh), KeyRecord)


async def test_what_a_key_made_is_narrowed_with_it(ring: Ring) -> None:
    """To the last: models, tags and limits, which count together with the maker's; a leaked key is bounded whole."""
    parent, child, grandchild = line = await make_line(ring, {}, {"max_concurrent": 2}, {"tags": ("ci",)})
    other = await ring.create()
    edit = KeyEdit(
        allowed_models=frozenset({"a", "b"}),
        tags=("red",),
        requests_per_minute=1,
        tokens_per_minute=9,
        max_concurrent=3,
    )
    await change(ring, parent, edit)
    for key in line:
        record = ring.record(key)
        assert (record.allowed_models, record.requests_per_minute) == (frozenset({"a", "b"}), 1)
        assert (record.tokens_per_minute, "red" in record.tags) == (9, True)
        names = ("requests_per_minute", "tokens_per_minute", "max_concurrent")
        assert {record.count_in(name) for name in names} == {parent.detail.key_id}
    assert [ring.record(key).max_concurrent for key in line] == [3, 2, 2]
    assert ring.record(grandchild).tags == ("ci", "red")
    assert ring.record(other).allowed_models is None
    deeds = {(action, thing) for _, action, thing in await ring.list_deeds()}
    assert {("key.narrow", key.detail.key_id) for key in (child, grandchild)} <= deeds
    assert ("key.narrow", parent.detail.key_id) not in deeds


async def test_a_key_that_gets_more_widens_nothing_that_it_made(ring: Ring) -> None:
    """Neither what was narrowed before nor what a person gave a key of its own: new keys alone get more."""
    parent, child = await make_line(
        ring, {"allowed_models": frozenset({"a"}), "requests_per_minute": 5, "tags": ("x",)}, {}
    )
    own = KeyEdit(requests_per_minute=50)
    await change(ring, child, own)
    await change(ring, parent, KeyEdit(allowed_models=frozenset({"a", "b"}), requests_per_minute=9, tags=()))
    record = ring.record(child)
    assert (record.allowed_models, record.requests_per_minute, record.tags) == (frozenset({"a"}), 50, ("x",))
    assert record.count_in("requests_per_minute") == child.detail.key_id
    await change(ring, parent, KeyEdit(requests_per_minute=8))
    await change(ring, parent, KeyEdit(requests_per_minute=None))
    assert (ring.record(parent).requests_per_minute, ring.record(child).requests_per_minute) == (None, 8)


async def test_a_key_without_a_model_of_its_makers_calls_none(ring: Ring) -> None:
    """It had others, and nobody gave it these."""
    parent, child = await make_line(
        ring, {"allowed_models": frozenset({"a", "b"})}, {"allowed_models": frozenset({"b"})}
    )
    await change(ring, parent, KeyEdit(allowed_models=frozenset({"a"})))
    assert ring.record(child).allowed_models == frozenset()


async def test_limits_of_a_rotated_maker_count_in_its_line(ring: Ring) -> None:
    """What the successor made counts where the successor does: in the key that the line began with."""
    (first,) = await make_line(ring, {})
    rotated = await ring.keys.rotate(ring.by(), ring.project_id, first.detail.key_id, 60, ring.at())
    child = await ring.create(Maker(key=ring.record(rotated.fresh)), scopes=frozenset({"proxy"}))
    await change(ring, rotated.fresh, KeyEdit(max_concurrent=1))
    assert ring.record(child).count_in("max_concurrent") == first.detail.key_id


async def test_tags_that_do_not_fit_are_not_lost_in_silence(ring: Ring) -> None:
    """The change is refused, and says which key has too many; nothing is changed then."""
    parent, child = await make_line(ring, {}, {"tags": tuple(f"t{number}" for number in range(32))})
    with refused(RefusalKind.CONFLICT, child.detail.key_id):
        await change(ring, parent, KeyEdit(tags=("red",), max_concurrent=1))
    assert (ring.record(parent).tags, ring.record(child).max_concurrent) == ((), None)


async def test_what_a_key_made_ends_with_it(ring: Ring) -> None:
    """All of it that would have lived longer; what ends sooner stays as it is, and is not told of."""
    line = await make_line(ring, {}, {}, {"expires_ns": NOW_NS + 2 * S_NS}, {})
    await change(ring, line[0], KeyEdit(expires_ns=NOW_NS + 9 * S_NS))
    assert [ring.record(key).expires_ns for key in line] == [NOW_NS + 9 * S_NS] * 2 + [NOW_NS + 2 * S_NS] * 2
    shortened = [thing for _, action, thing in await ring.list_deeds() if action == "key.shorten"]
    assert shortened == [line[1].detail.key_id]
