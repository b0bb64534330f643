"""The SQL of kept prompts: which projects want them and for how long, and the sealed contents."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, LargeBinary, String, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

NS_PER_DAY = 86_400 * 10**9
_TAKE_REVISION = text("UPDATE revisions SET value = value + 1 WHERE name = 'prompts' RETURNING value")
_READ_REVISION = text("SELECT value FROM revisions WHERE name = 'prompts'")
_READ_CHANGED = text("SELECT project_id, retention_days, since_ns FROM prompt_settings WHERE revision > :since")
_READ_ALL = text("SELECT project_id, retention_days, since_ns FROM prompt_settings ORDER BY project_id")
_READ = text("SELECT project_id, retention_days, since_ns FROM prompt_settings WHERE project_id = :project_id")
_WRITE = text(
    "INSERT INTO prompt_settings (project_id, retention_days, since_ns, revision) "
    "VALUES (:project_id, :retention_days, :since_ns, :revision) ON CONFLICT (project_id) DO UPDATE SET "
    "retention_days = excluded.retention_days, since_ns = excluded.since_ns, revision = excluded.revision"
)
# Another process may still think that a project wants it: what it no longer wants is not written.
_INSERT = text(
    "INSERT INTO prompts (request_id, project_id, content, created_ns) "
    "SELECT :request_id, project_id, :content, :created_ns FROM prompt_settings "
    "WHERE project_id = :project_id AND retention_days IS NOT NULL AND since_ns <= :created_ns "
    "ON CONFLICT (request_id) DO NOTHING"
).bindparams(
    bindparam("request_id", type_=String),
    bindparam("content", type_=LargeBinary),
    bindparam("created_ns", type_=BigInteger),
)
_FIND = text(
    "SELECT prompts.content FROM prompts JOIN prompt_settings ON prompt_settings.project_id = prompts.project_id "
    "WHERE prompts.request_id = :request_id AND prompts.project_id = :project_id AND retention_days IS NOT NULL "
    "AND prompts.created_ns >= since_ns AND prompts.created_ns >= :now_ns - retention_days * :ns_per_day"
)
_DELETE = text(
    "DELETE FROM prompts WHERE request_id IN (SELECT request_id FROM prompts "
    "WHERE project_id = :project_id AND created_ns < :before_ns ORDER BY created_ns LIMIT :limit)"
)
_LATEST_NS = 2**63 - 1


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a project wants; ``retention_days`` None: nothing is kept."""

    project_id: str
    retention_days: int | None
    # Calls that began before are not kept, nor shown.
    since_ns: int

    def oldest_ns(self, now_ns: int) -> int:
        """What is older than this moment has to go."""
        if self.retention_days is None:
            return _LATEST_NS
        return max(self.since_ns, now_ns - self.retention_days * NS_PER_DAY)


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one call."""

    request_id: str
    project_id: str
    content: bytes
    created_ns: int


async def read_changes(connection: AsyncConnection, since: int) -> tuple[int, list[Setting]]:
    """The revision, and what changed after another."""
    revision: int = (await connection.execute(_READ_REVISION)).scalar_one()
    if revision == since:
        return revision, []
    found = await connection.execute(_READ_CHANGED, {"since": since})
    return revision, [msgspec.convert(dict(row), Setting) for row in found.mappings()]


async def read_settings(connection: AsyncConnection) -> list[Setting]:
    """What every project wants that ever wanted anything."""
    return [msgspec.convert(dict(row), Setting) for row in (await connection.execute(_READ_ALL)).mappings()]


async def read_setting(connection: AsyncConnection, project_id: str) -> Setting:
    """What a project wants."""
    row = (await connection.execute(_READ, {"project_id": project_id})).mappings().one_or_none()
    if row is None:
        return Setting(project_id=project_id, retention_days=None, since_ns=0)
    return msgspec.convert(dict(row), Setting)


async def write_setting(connection: AsyncConnection, setting: Setting) -> None:
    """Set what a project wants, in place of what it wanted before."""
    revision: int = (await connection.execute(_TAKE_REVISION)).scalar_one()
    await connection.execute(_WRITE, {**msgspec.structs.asdict(setting), "revision": revision})


async def forget_project(connection: AsyncConnection, project_id: str) -> None:
    """A project is deleted: it wants nothing any more, and every process deletes what there is."""
    setting = await read_setting(connection, project_id)
    if setting.retention_days is not None:
        await write_setting(connection, msgspec.structs.replace(setting, retention_days=None))


async def insert(connection: AsyncConnection, contents: Sequence[Sealed]) -> None:
    """Store contents, of projects that want it now."""
    await connection.execute(_INSERT, [msgspec.structs.asdict(content) for content in contents])


async def find(connection: AsyncConnection, project_id: str, request_id: str, now_ns: int) -> bytes | None:
    """The sealed content of a call; None: it was not kept, or its time is over."""
    values = {"project_id": project_id, "request_id": request_id, "now_ns": now_ns, "ns_per_day": NS_PER_DAY}
    found: bytes | None = (await connection.execute(_FIND, values)).scalar_one_or_none()
    return None if found is None else bytes(found)


async def delete_old(connection: AsyncConnection, setting: Setting, now_ns: int, limit: int) -> int:
    """Delete a project's contents whose time is over, the oldest first; tells how many it was."""
    values = {"project_id": setting.project_id, "before_ns": setting.oldest_ns(now_ns), "limit": limit}
    return (await connection.execute(_DELETE, values)).rowcount
