"""Projects: made with a first key, renamed, deleted with all that belongs to them."""

import asyncio

import pytest
from households import NOW_NS, House, refused
from keyrings import Ring

from gateway.accounts.audit import Actor, Occasion
from gateway.accounts.credentials import NewCredential, UnknownProject, create_credential, list_credentials
from gateway.accounts.directory import KeyFault
from gateway.accounts.keyring import projects
from gateway.accounts.keyring.project_keys import Maker
from gateway.accounts.tenancy.refusals import RefusalKind
from gateway.accounts.vault import Vault
from gateway.config.secret import Secret


async def test_a_project_comes_with_a_key_that_works(ring: Ring) -> None:
    """Its own; the detail shows both."""
    made = await ring.projects.create(ring.by(), " shop ", "openai", ring.at())
    assert (made.project.name, made.project.provider, made.project.account_id) == ("shop", "openai", ring.account_id)
    assert ring.record(made.key).project_id == made.project.project_id
    detail = await ring.projects.find_detail(made.project.project_id)
    assert (detail.project, detail.keys) == (made.project, [made.key.detail])


async def test_a_deleted_project_is_gone_with_keys_and_credentials(ring: Ring) -> None:
    """In one step, and told in the log; what is asked of it afterwards finds nothing."""
    made = await ring.projects.create(ring.by(), "shop", None, ring.at())
    project_id = made.project.project_id
    second = await ring.keys.create(ring.by(), project_id, projects.KeyWish(), ring.at())
    wanted = NewCredential(project_id=project_id, provider="openai", secret=Secret("sk-own-0123456789"))
    await create_credential(ring.database, Vault(bytes(32)), {"openai"}, wanted, ring.at())
    await ring.projects.delete(project_id, ring.at())
    assert [ring.find(made.key), ring.find(second)] == [KeyFault.REVOKED] * 2
    assert await list_credentials(ring.database, project_id) == []
    assert (ring.owner.person.user_id, "project.delete", project_id) in await ring.list_deeds()
    with pytest.raises(UnknownProject):
        await create_credential(ring.database, Vault(bytes(32)), {"openai"}, wanted, ring.at())
    for deed in (
        ring.projects.find_detail(project_id),
        ring.projects.delete(project_id, ring.at()),
        ring.projects.rename(project_id, "x", ring.at()),
    ):
        with refused(RefusalKind.NOT_FOUND, "no project"):
            await deed
    assert (await ring.projects.create(ring.by(), "shop", None, ring.at())).project.project_id != project_id


async def test_a_key_is_never_left_in_a_deleted_project(ring: Ring) -> None:
    """Whoever makes one while another deletes the project gets a key that ends, or a refusal."""
    for _ in range(5):
        made = await ring.projects.create(ring.by(), "shop", None, ring.at())
        project_id = made.project.project_id
        ends = await asyncio.gather(
            ring.keys.create(ring.by(), project_id, projects.KeyWish(), ring.at()),
            ring.projects.delete(project_id, ring.at()),
            return_exceptions=True,
        )
        await ring.directory.refresh()
        assert await ring.keys.list_keys(project_id) == []
        assert ends[1] is None


async def test_a_name_is_kept_apart_from_others(ring: Ring) -> None:
    """Renaming obeys the same rules as making."""
    made = await ring.projects.create(ring.by(), "shop", None, ring.at())
    assert (await ring.projects.rename(made.project.project_id, "store", ring.at())).name == "store"
    accented = await ring.projects.create(ring.by(), "caf\u00e9", None, ring.at())
    with refused(RefusalKind.TAKEN, "caf"):
        await ring.projects.create(ring.by(), "cafe\u0301", None, ring.at())
    assert accented.project.name == "caf\u00e9"
    for deed in (
        ring.projects.create(ring.by(), "store", None, ring.at()),
        ring.projects.rename(ring.project_id, "store", ring.at()),
    ):
        with refused(RefusalKind.TAKEN, "'store'"):
            await deed


async def test_what_is_no_name_is_refused(ring: Ring, subtests: pytest.Subtests) -> None:
    """Before anything is stored."""
    for name in ("", "  ", "a\nb", "x" * 129, "\ud800"):
        with subtests.test(name=ascii(name)), refused(RefusalKind.INVALID, "is no name"):
            await ring.projects.create(ring.by(), name, None, ring.at())


async def test_a_provider_is_one_that_there_is(ring: Ring) -> None:
    """The refusal lists them."""
    with refused(RefusalKind.INVALID, "groq, openai"):
        await ring.projects.create(ring.by(), "shop", "opnai", ring.at())


async def test_an_account_has_so_many_projects(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused and leaves nothing."""
    monkeypatch.setattr(projects, "MAX_PROJECTS", 1)
    with refused(RefusalKind.CONFLICT, "1 projects"):
        await ring.projects.create(ring.by(), "shop", None, ring.at())
    assert len(await ring.projects.list_projects(ring.account_id, has_operators=False)) == 1


async def test_a_keys_project_is_made_within_the_key(ring: Ring, house: House) -> None:
    """An account-wide key with the scope admin makes a project whose first key may no more than it may."""
    fresh = await ring.create(scopes=frozenset({"admin", "usage:read"}), requests_per_minute=5)
    made = await ring.projects.create(Maker(key=ring.record(fresh)), "shop", None, ring.at())
    record = ring.record(made.key)
    assert (record.scopes, record.requests_per_minute) == (frozenset({"usage:read"}), 5)


async def test_the_operators_projects_have_no_members(ring: Ring) -> None:
    """The operator gives there whatever there is."""
    person = ring.owner.person
    actor = Actor(kind="user", actor_id=person.user_id, origin="")
    at = Occasion(actor=actor, account_id=None, now_ns=NOW_NS)
    made = await ring.projects.create(ring.by(), "ops", None, at)
    assert (made.project.account_id, ring.record(made.key).account_id) == (None, None)
