"""The SQL of an account's projects.

Failure behavior: raises DatabaseUnavailable as gateway.db does. Everything happens inside the caller's transaction.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts.store import Project, read_row

_THERE = "FROM projects WHERE deleted_ns IS NULL"
_LIST = text(
    f"SELECT project_id, account_id, name, provider, created_ns {_THERE} AND (account_id = :account_id "
    "OR (:has_operators AND account_id IS NULL)) ORDER BY created_ns, project_id"
)
_FIND_BY_NAME = text(f"SELECT project_id {_THERE} AND account_id = :account_id AND name = :name")
_COUNT = text("SELECT COUNT(*) FROM projects WHERE deleted_ns IS NULL AND account_id IS NOT DISTINCT FROM :account_id")
# Whoever makes something in a project and whoever deletes it wait for each other here.
_LOCK = text("UPDATE projects SET name = name WHERE project_id = :project_id AND deleted_ns IS NULL")
_RENAME = text("UPDATE projects SET name = :name WHERE project_id = :project_id AND deleted_ns IS NULL")
_DELETE = text("UPDATE projects SET deleted_ns = :now_ns WHERE project_id = :project_id AND deleted_ns IS NULL")


async def list_projects(connection: AsyncConnection, account_id: str | None, *, has_operators: bool) -> list[Project]:
    """List an account's projects, oldest first; ``has_operators``: the operator's own as well."""
    rows = await connection.execute(_LIST, {"account_id": account_id, "has_operators": has_operators})
    return [read_row(row, Project) for row in rows.mappings()]


async def find_by_name(connection: AsyncConnection, account_id: str, name: str) -> str:
    """Find the id of an account's project that is there."""
    found: str = (await connection.execute(_FIND_BY_NAME, {"account_id": account_id, "name": name})).scalar_one()
    return found


async def count_projects(connection: AsyncConnection, account_id: str | None) -> int:
    """Count an account's projects."""
    return int((await connection.execute(_COUNT, {"account_id": account_id})).scalar_one())


async def lock_project(connection: AsyncConnection, project_id: str) -> bool:
    """Keep a project from being deleted until the commit; tell whether it is there."""
    return bool((await connection.execute(_LOCK, {"project_id": project_id})).rowcount)


async def rename_project(connection: AsyncConnection, project_id: str, name: str) -> bool:
    """Rename a project and tell whether it is there. Raises IntegrityError where its owner has one of this name."""
    return bool((await connection.execute(_RENAME, {"project_id": project_id, "name": name})).rowcount)


async def delete_project(connection: AsyncConnection, project_id: str, now_ns: int) -> bool:
    """Delete a project and tell whether it was there; its row stays, for its usage."""
    return bool((await connection.execute(_DELETE, {"project_id": project_id, "now_ns": now_ns})).rowcount)
