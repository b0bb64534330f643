"""What people and programs do with projects: make, list, rename, delete.

Failure behavior: raises Refusal where a rule forbids it and DatabaseUnavailable as gateway.db does; nothing is then
changed. A deleted project is gone at once with its keys, its credentials and what was asked and answered; its usage
stays.
"""

from collections.abc import Awaitable, Callable, Collection

import msgspec
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import credentials_store, store
from gateway.accounts.audit import Occasion, note
from gateway.accounts.keyring import keys_store, projects_store
from gateway.accounts.keyring.keys_store import KeyDetail
from gateway.accounts.keyring.project_keys import FreshKey, Maker, ProjectKeys
from gateway.accounts.keyring.rights import KeyWish
from gateway.accounts.store import Project
from gateway.accounts.tenancy.names import check_name
from gateway.accounts.tenancy.refusals import Refusal, RefusalKind
from gateway.db import Database
from gateway.errors import shown

MAX_PROJECTS = 1_000
FIRST_KEY = "Default"


# Does what else belongs to the end of a project at a time, in its transaction.
End = Callable[[AsyncConnection, str, int], Awaitable[None]]


class MadeProject(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh project with its first key."""

    project: Project
    key: FreshKey


class ProjectDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A project with its keys."""

    project: Project
    keys: list[KeyDetail]


class Projects:
    """The projects of every account. ``providers`` are the names that there are; ``end`` hears of a deleted one."""

    def __init__(
        self,
        database: Database,
        keys: ProjectKeys,
        providers: Collection[str],
        follow: Callable[[], Awaitable[None]],
        end: End | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._end = end
        self._providers = providers
        self._follow = follow

    async def list_projects(self, account_id: str | None, *, has_operators: bool) -> list[Project]:
        """List an account's projects, oldest first; ``has_operators``: the operator's own as well."""
        async with self._database.read() as connection:
            return await projects_store.list_projects(connection, account_id, has_operators=has_operators)

    async def find_detail(self, project_id: str) -> ProjectDetail:
        """Read a project with its keys. Raises Refusal where it was deleted a moment ago."""
        project = await store.find_project(self._database, project_id)
        if project is None:
            raise _unknown(project_id)
        return ProjectDetail(project=project, keys=await self._keys.list_keys(project_id))

    async def create(self, maker: Maker, name: str, provider: str | None, occasion: Occasion) -> MadeProject:
        """Make a project with a first key. Raises Refusal."""
        written = check_name(name, least_chars=1)
        if provider is not None and provider not in self._providers:
            raise Refusal(
                RefusalKind.INVALID,
                f"{shown(provider)} is no provider here; there are {', '.join(sorted(self._providers))}",
                "provider",
            )
        async with self._database.write() as connection:
            project = await store.insert_project(connection, occasion.account_id, written, provider, occasion.now_ns)
            if project is None:
                raise _taken(written)
            if await projects_store.count_projects(connection, occasion.account_id) > MAX_PROJECTS:
                raise Refusal(RefusalKind.CONFLICT, f"the account has {MAX_PROJECTS} projects: delete some first")
            await note(connection, occasion, "project.create", project.project_id, written)
            wish = KeyWish(name=FIRST_KEY)
            fresh = await self._keys.insert(connection, maker, project.project_id, wish, occasion)
        await self._follow()
        return MadeProject(project=project, key=fresh)

    async def rename(self, project_id: str, name: str, occasion: Occasion) -> Project:
        """Give a project another name. Raises Refusal."""
        written = check_name(name, least_chars=1)
        try:
            async with self._database.write() as connection:
                if not await projects_store.rename_project(connection, project_id, written):
                    raise _unknown(project_id)
                await note(connection, occasion, "project.rename", project_id, written)
        except exc.IntegrityError:
            raise _taken(written) from None
        return (await self.find_detail(project_id)).project

    async def delete(self, project_id: str, occasion: Occasion) -> None:
        """Delete a project with its keys and its credentials. Raises Refusal."""
        now_ns = occasion.now_ns
        async with self._database.write() as connection:
            # In the order in which everybody takes them.
            key_revision = await store.take_revision(connection)
            if not await projects_store.delete_project(connection, project_id, now_ns):
                raise _unknown(project_id)
            keys = await keys_store.list_keys(connection, project_id)
            if keys:
                await keys_store.revoke_keys(connection, [key.key_id for key in keys], now_ns, key_revision)
            credential_revision = await credentials_store.take_revision(connection)
            for credential in await credentials_store.list_credentials(connection, project_id):
                await credentials_store.delete_credential(
                    connection, credential.credential_id, now_ns, credential_revision
                )
            if self._end is not None:
                await self._end(connection, project_id, now_ns)
            await note(connection, occasion, "project.delete", project_id, f"{len(keys)} keys")
        await self._follow()


def _taken(name: str) -> Refusal:
    return Refusal(RefusalKind.TAKEN, f"there is a project {shown(name)} already: choose another name", "name")


def _unknown(project_id: str) -> Refusal:
    return Refusal(RefusalKind.NOT_FOUND, f"there is no project {shown(project_id)} of yours", "project_id")
