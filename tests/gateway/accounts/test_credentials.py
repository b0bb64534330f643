"""Credentials: what their owners may do with them, and what a call then finds."""

import asyncio
import traceback
from collections.abc import AsyncIterator

import msgspec
import pytest
from households import AT
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.credential_directory import ActiveCredential, CredentialDirectory, CredentialFault
from gateway.accounts.credentials import (
    CredentialExists,
    CredentialInvalid,
    NewCredential,
    Replacement,
    UnknownCredential,
    UnknownProject,
    create_credential,
    delete_credential,
    disable_credential,
    display_of,
    list_credentials,
    replace_credential,
)
from gateway.accounts.store import find_or_create_project
from gateway.accounts.vault import Vault
from gateway.config.secret import Secret
from gateway.db import Database

NOW_NS = 1_790_000_000_000_000_000
CANARY = "sk-canary-0123456789abcdef"
PROVIDERS = frozenset({"openai", "groq", "llama"})
VAULT, OTHER_VAULT = Vault(bytes([1] * 32)), Vault(bytes([2] * 32))


@pytest.fixture
async def project_id(database: Database) -> str:
    return (await find_or_create_project(database, "p", NOW_NS)).project_id


@pytest.fixture
async def directory(database: Database) -> AsyncIterator[CredentialDirectory]:
    """A directory that is refreshed by hand."""
    directory = CredentialDirectory(database, VAULT)
    yield directory
    await directory.close()


async def create(database: Database, project_id: str | None, vault: Vault = VAULT, **changes: object) -> str:
    """Make a credential and give its id."""
    wanted = NewCredential(project_id=project_id, provider="openai", secret=Secret(CANARY))
    wanted = msgspec.structs.replace(wanted, **changes)
    return (await create_credential(database, vault, PROVIDERS, wanted, AT)).credential_id


async def find(directory: CredentialDirectory, project_id: str, provider: str = "openai") -> str | None:
    """Look up as a request does, after a refresh; gives the secret's text."""
    await directory.refresh()
    found = directory.find(project_id, provider)
    assert not isinstance(found, CredentialFault)
    return None if found is None else found.secret.reveal()


async def test_a_credential_is_found_with_all_that_a_call_needs(
    database: Database, project_id: str, directory: CredentialDirectory
) -> None:
    """Nothing needs the database at the time of the call."""
    credential_id = await create(database, project_id, base_url="https://eu.example.org/v1")
    await directory.refresh()
    assert directory.find(project_id, "openai") == ActiveCredential(
        credential_id=credential_id, secret=Secret(CANARY), base_url="https://eu.example.org/v1"
    )
    assert directory.find(project_id, "groq") is None
    assert directory.find("proj_other", "openai") is None


async def test_a_projects_own_wins_over_the_operators(
    database: Database, project_id: str, directory: CredentialDirectory
) -> None:
    """And when it is gone, the operator's serves again."""
    await create(database, None, secret=Secret("the-operators-own"))
    own = await create(database, project_id)
    assert await find(directory, project_id) == CANARY
    assert await find(directory, "proj_other") == "the-operators-own"
    await disable_credential(database, project_id, own, AT)
    assert await find(directory, project_id) == "the-operators-own"


async def test_the_list_never_holds_the_secret(database: Database, project_id: str) -> None:
    """It tells the ends that may be shown, and all else."""
    await create(database, project_id, name="ours", base_url="https://h")
    (listed,) = await list_credentials(database, project_id)
    assert (listed.project_id, listed.provider, listed.name) == (project_id, "openai", "ours")
    assert (listed.display, listed.base_url, listed.created_ns) == ("sk-...cdef", "https://h", NOW_NS)
    assert not any("canary" in str(value) for value in msgspec.structs.astuple(listed))
    assert await list_credentials(database, None) == []


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_a_display_tells_seven_characters_at_most(text: str) -> None:
    """And of a short secret none."""
    display = display_of(Secret(text))
    assert display == (f"{text[:3]}...{text[-4:]}" if len(text) >= 12 else "")


async def test_a_second_active_credential_is_refused(database: Database, project_id: str) -> None:
    """The refusal names the first, so that it can be replaced."""
    first = await create(database, project_id)
    with pytest.raises(CredentialExists, match="replace, disable or delete it") as caught:
        await create(database, project_id)
    assert caught.value.credential_id == first
    await create(database, project_id, provider="groq")
    await create(database, None)


async def test_of_two_made_at_once_one_is_made(database: Database, project_id: str) -> None:
    """Whoever comes second is told."""
    made = await asyncio.gather(*(create(database, project_id) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, CredentialExists) for one in made) == 4


async def test_another_secret_replaces_the_first(
    database: Database, project_id: str, directory: CredentialDirectory
) -> None:
    """Under the same id; its address is the new one's, never one that somebody else put to a known secret."""
    credential_id = await create(database, project_id, base_url="https://old")
    wanted = Replacement(project_id=project_id, credential_id=credential_id, secret=Secret("another-secret-1234"))
    listing = await replace_credential(database, VAULT, wanted, AT)
    assert (listing.display, listing.base_url, listing.created_ns) == ("ano...1234", None, NOW_NS)
    assert await list_credentials(database, project_id) == [listing]
    assert await find(directory, project_id) == "another-secret-1234"
    named = await replace_credential(database, VAULT, msgspec.structs.replace(wanted, name="ours"), AT)
    kept = await replace_credential(database, VAULT, wanted, AT)
    assert (named.name, kept.name, await list_credentials(database, project_id)) == ("ours", "ours", [kept])
    with pytest.raises(CredentialInvalid, match="the name"):
        await replace_credential(database, VAULT, msgspec.structs.replace(wanted, name="a\nb"), AT)


async def test_replacing_makes_a_disabled_one_active(
    database: Database, project_id: str, directory: CredentialDirectory
) -> None:
    """Unless another one is active by then."""
    credential_id = await create(database, project_id)
    await disable_credential(database, project_id, credential_id, AT)
    wanted = Replacement(project_id=project_id, credential_id=credential_id, secret=Secret("fresh"))
    await replace_credential(database, VAULT, wanted, AT)
    assert await find(directory, project_id) == "fresh"
    await disable_credential(database, project_id, credential_id, AT)
    await create(database, project_id)
    with pytest.raises(CredentialExists):
        await replace_credential(database, VAULT, wanted, AT)


async def test_a_disabled_credential_is_listed_and_not_used(
    database: Database, project_id: str, directory: CredentialDirectory
) -> None:
    """Repeating it changes nothing."""
    credential_id = await create(database, project_id)
    for later in (1, 2):
        await disable_credential(
            database, project_id, credential_id, msgspec.structs.replace(AT, now_ns=NOW_NS + later)
        )
    assert await find(directory, project_id) is None
    assert [one.disabled_ns for one in await list_credentials(database, project_id)] == [NOW_NS + 1]


async def test_a_deleted_credential_is_gone(
    database: Database, project_id: str, directory: CredentialDirectory
) -> None:
    """From the list, from memory, and for every verb."""
    credential_id = await create(database, project_id)
    assert await find(directory, project_id) == CANARY
    await delete_credential(database, project_id, credential_id, AT)
    assert await find(directory, project_id) is None
    assert (len(directory), await list_credentials(database, project_id)) == (0, [])
    with pytest.raises(UnknownCredential):
        await delete_credential(database, project_id, credential_id, AT)
    await create(database, project_id)
    assert await find(directory, project_id) == CANARY


@pytest.mark.parametrize("verb", ["replace", "disable", "delete"])
async def test_only_its_owner_reaches_a_credential(database: Database, project_id: str, verb: str) -> None:
    """A guessed id of another project's, or of the operator's, is as unknown as one that there is not."""
    other = (await find_or_create_project(database, "other", NOW_NS)).project_id
    ids = [await create(database, owner) for owner in (None, other)]
    for credential_id in (*ids, "cred_nothing"):
        with pytest.raises(UnknownCredential, match="list them"):
            if verb == "replace":
                wanted = Replacement(project_id=project_id, credential_id=credential_id, secret=Secret("x"))
                await replace_credential(database, VAULT, wanted, AT)
            else:
                run = disable_credential if verb == "disable" else delete_credential
                await run(database, project_id, credential_id, AT)


UNUSABLE: list[tuple[dict[str, object], str]] = [
    ({"provider": "opnai"}, "'opnai' is no provider here; there are groq, llama, openai"),
    ({"secret": Secret("")}, "has 0 characters"),
    ({"secret": Secret(CANARY * 400)}, "characters: give 1 to 4096"),
    ({"secret": Secret(f"{CANARY}\r\nx: y")}, "as the provider showed it"),
    ({"secret": Secret(f" {CANARY}")}, "as the provider showed it"),
    ({"secret": Secret(f"{CANARY}é")}, "as the provider showed it"),
    ({"name": "x" * 129}, "128 printable"),
    ({"name": "a\nb"}, "128 printable"),
    ({"base_url": "ftp://h"}, "it must begin with http"),
    ({"base_url": f"http://u:{CANARY}@h"}, "user-info"),
]


async def test_a_value_that_cannot_be_used_is_refused(
    database: Database, project_id: str, subtests: pytest.Subtests
) -> None:
    """Before anything is stored; the reason never shows the secret."""
    for number, (change, why) in enumerate(UNUSABLE):
        with subtests.test(number=number, why=why):
            with pytest.raises(CredentialInvalid, match=why) as caught:
                await create(database, project_id, **change)
            assert CANARY not in "".join(traceback.format_exception(caught.value))
            assert await list_credentials(database, project_id) == []


async def test_a_project_that_there_is_not_is_told(database: Database) -> None:
    """With what to do; the statement's values are not in it."""
    with pytest.raises(UnknownProject, match="'proj_nowhere'") as caught:
        await create(database, "proj_nowhere")
    assert CANARY not in "".join(traceback.format_exception(caught.value))
