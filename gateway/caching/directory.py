"""What each project wants of the cache, in memory, and every purge and refresh that any process was asked for.

Failure behavior: while the database is away what is known stays in force; see gateway.accounts.follower.
"""

from contextlib import suppress

from gateway.accounts.follower import Follower
from gateway.caching import store
from gateway.caching.answers import Answers
from gateway.caching.parts import Parts
from gateway.caching.policy import Policy, Wishes, combine
from gateway.caching.refreshes import Refreshes
from gateway.caching.semantic.handle import Semantics
from gateway.caching.shared import Purges
from gateway.config.settings import Cache
from gateway.db import Database, DatabaseUnavailable


class CacheDirectory(Follower):
    """Finds a project's policy, and follows what every process changes and purges."""

    things = "cache settings"
    revision_name = "cache"

    def __init__(self, database: Database, settings: Cache, answers: Answers, semantics: Semantics) -> None:
        super().__init__(database)
        self._settings = settings
        self._answers = answers
        self._semantics = semantics
        self._default = combine(settings, Wishes())
        self._policies: dict[str, Policy] = {}
        self._revision = 0
        self.purges = Purges()
        self.parts = Parts()
        self.refreshes = Refreshes()

    def __len__(self) -> int:
        """Count the projects that set anything."""
        return len(self._policies)

    @property
    def is_semantic(self) -> bool:
        """Whether any project looks for like questions."""
        return self._default.is_semantic or any(policy.is_semantic for policy in self._policies.values())

    def policy_of(self, project_id: str) -> Policy:
        """What is in force for a project."""
        return self._policies.get(project_id, self._default)

    async def tend(self) -> None:
        """Write which calls were answered by several entries, and what was refreshed. Raises DatabaseUnavailable."""
        await self.refreshes.write(self._database)
        await self.parts.write(self._database)

    async def close(self) -> None:
        """Stop following, and write what was noted."""
        await super().close()
        with suppress(DatabaseUnavailable):
            await self.tend()

    async def take_changes(self) -> None:
        """Take over what changed since the last time. Raises DatabaseUnavailable."""
        async with self._database.read() as connection:
            changes = await store.read_changes(connection, self._revision)
            if changes.revision < self._revision:
                # The database was replaced by an older copy.
                self._policies.clear()
                changes = await store.read_changes(connection, 0)
        for project_id, wishes in changes.wishes.items():
            self._policies[project_id] = combine(self._settings, wishes)
        for purge in changes.purges:
            self._answers.purge(purge)
            self._semantics.purge(purge)
            if purge.before_ns is not None:
                self.purges.add(purge, purge.before_ns)
        for key, created_ns in changes.refreshes.items():
            self._answers.refresh(key, created_ns)
        for project_id in changes.deleted:
            self._semantics.forget_project(project_id)
            self._policies.pop(project_id, None)
        self._revision = changes.revision
