"""Which projects want their prompts kept, in memory.

Failure behavior: while the database is away what is known stays in force; see gateway.accounts.follower.
"""

from collections.abc import Callable

from gateway.accounts.follower import Follower
from gateway.db import Database
from gateway.prompts import store
from gateway.prompts.store import Setting


class PromptDirectory(Follower):
    """Follows what every process changes; ``on_end`` is called when a project wants nothing any more."""

    things = "settings of kept prompts"
    revision_name = "prompts"

    def __init__(self, database: Database, on_end: Callable[[], None]) -> None:
        super().__init__(database)
        self._on_end = on_end
        self._revision = 0
        # Those that want it: empty where none does, which is all that a call looks at then.
        self.projects: dict[str, Setting] = {}

    def __len__(self) -> int:
        """Count the projects that want it."""
        return len(self.projects)

    async def take_changes(self) -> None:
        """Take over what changed since the last time. Raises DatabaseUnavailable."""
        async with self._database.read() as connection:
            revision, changed = await store.read_changes(connection, self._revision)
            if revision < self._revision:
                # The database was replaced by an older copy.
                self.projects.clear()
                revision, changed = await store.read_changes(connection, 0)
        for setting in changed:
            if setting.retention_days is not None:
                self.projects[setting.project_id] = setting
            else:
                self.projects.pop(setting.project_id, None)
                self._on_end()
        self._revision = revision
