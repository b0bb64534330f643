"""The SQL of an account's projects."""

import pytest
from households import NOW_NS
from keyrings import Ring
from sqlalchemy import exc

from gateway.accounts import store
from gateway.accounts.keyring import projects_store


async def test_an_account_sees_its_own_and_the_operator_theirs_as_well(ring: Ring) -> None:
    """Oldest first; a deleted one is neither listed, counted, locked nor renamed."""
    operators = await store.create_project(ring.database, "ops", None, NOW_NS + 1)
    async with ring.database.write() as connection:
        own = await store.insert_project(connection, ring.account_id, "shop", "openai", NOW_NS + 2)
        assert own is not None
        listed = await projects_store.list_projects(connection, ring.account_id, has_operators=False)
        assert [project.name for project in listed] == ["Default", "shop"]
        listed = await projects_store.list_projects(connection, ring.account_id, has_operators=True)
        assert [project.project_id for project in listed] == [ring.project_id, operators.project_id, own.project_id]
        assert await projects_store.find_by_name(connection, ring.account_id, "shop") == own.project_id
        assert await projects_store.count_projects(connection, ring.account_id) == 2
        assert await projects_store.count_projects(connection, None) == 1
        assert await projects_store.delete_project(connection, own.project_id, NOW_NS)
        assert not await projects_store.delete_project(connection, own.project_id, NOW_NS)
        assert not await projects_store.lock_project(connection, own.project_id)
        assert not await projects_store.rename_project(connection, own.project_id, "x")
        assert await projects_store.count_projects(connection, ring.account_id) == 1
        assert await store.insert_project(connection, ring.account_id, "shop", None, NOW_NS) is not None


async def test_a_name_is_taken_once_an_account(ring: Ring) -> None:
    """By making and by renaming."""
    async with ring.database.write() as connection:
        assert await store.insert_project(connection, ring.account_id, "Default", None, NOW_NS) is None
        made = await store.insert_project(connection, ring.account_id, "shop", None, NOW_NS)
        assert made is not None
    with pytest.raises(exc.IntegrityError):
        async with ring.database.write() as connection:
            await projects_store.rename_project(connection, made.project_id, "Default")
