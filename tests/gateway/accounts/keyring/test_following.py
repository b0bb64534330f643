"""Keys follow the role of whoever made them."""

from households import NOW_NS, House
from keyrings import Ring

from gateway.accounts.directory import KeyFault, KeyRecord
from gateway.accounts.keyring.project_keys import Maker

ADMIN = frozenset({"proxy", "admin", "gpu"})


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
