"""Every key of the installation in memory, so that no request waits for the database to know its caller.

A key that another process made a moment ago is not known here until the changes are followed: whoever shows one that is
well-formed and unknown may have this process catch up first. All who wait share one look at the database, and strangers
who make keys up cause LOOKS_PER_S of them at most.

Failure behavior: while the database is away the keys already known stay valid, as revoked or expired ones stay
refused; ``is_stale`` then tells that an unknown key may only be unknown here, which is a 503 and no 401.
"""

import asyncio
import contextlib
import enum
import time

import msgspec

from gateway.accounts import store
from gateway.accounts.follower import Follower
from gateway.accounts.keys import MAX_KEY_CHARS, KeyCache, KeyDigester, KeyKind, is_well_formed
from gateway.db import Database, DatabaseUnavailable

# For keys that are not known here.
LOOKS_PER_S = 20


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a presented key stands for."""

    key_id: str
    project_id: str
    kind: KeyKind
    is_managing: bool = False
    # None: every model.
    allowed_models: frozenset[str] | None = None
    # The first moment at which it is no longer valid; None: never.
    expires_ns: int | None = None
    scopes: frozenset[str] = frozenset()
    # None: the operator's own project, which no plan limits.
    account_id: str | None = None
    # It acts on its whole account, not on its project alone.
    is_account_wide: bool = False
    plan: str | None = None
    # Figures of this account that differ from its plan's, by their names.
    rate_overrides: dict[str, int] | None = None
    # Of every call with the key, besides those of the call itself.
    tags: tuple[str, ...] = ()
    # Per minute, and at once; None: not limited.
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrent: int | None = None
    # What its calls want of the cache; None: what the project wants.
    cache: KeyCache | None = None
    # The first key of its line of rotations; None: it took over from none.
    root_id: str | None = None
    # The keys in whose counters its limits count, by the limits' names; None: all in its own.
    limits_in: dict[str, str] | None = None
    # The keys in whose budgets its calls count besides its own: its maker, that one's maker, and so on.
    spends_in: tuple[str, ...] = ()

    @property
    def counted_id(self) -> str:
        """The key by which limits and budgets count it: one for the whole line of rotations."""
        return self.root_id or self.key_id

    def count_in(self, limit: str) -> str:
        """The key whose counter one of its limits counts in: its maker's, where a key that has this limit made it."""
        return (self.limits_in or {}).get(limit, self.counted_id)


class KeyFault(enum.Enum):
    """Why a presented key is not honoured; the value is fit for a message."""

    MALFORMED = "is not one of WatchLLM's: they begin lgw_proj_, lgw_test_, EFG_sk_live_ or ak_live_"
    UNKNOWN = "is not known here"
    REVOKED = "was revoked"
    EXPIRED = "has expired"


class KeyDirectory(Follower):
    """Finds callers by their keys, and follows what every process changes."""

    things = "keys"
    revision_name = "keys"

    def __init__(self, database: Database, digester: KeyDigester) -> None:
        super().__init__(database)
        self._digest = digester.digest
        self._known: dict[bytes, KeyRecord | KeyFault] = {}
        # The database's, of the keys that are known here.
        self._revision = 0
        # As long as it stays, so does what ``find`` answers, expiry aside; it only ever grows.
        self.revision = 0
        self._catching_up = asyncio.Lock()
        # Looks for the sake of unknown keys: how many were begun, and when the last one was.
        self._looks = 0
        self._looked_s = float("-inf")

    def __len__(self) -> int:
        """Count the keys that are known, revoked ones included."""
        return len(self._known)

    def find(self, presented: bytes, now_ns: int) -> KeyRecord | KeyFault:
        """Tell whose key this is; the time taken depends on nothing secret, since only its digest is looked up."""
        if len(presented) > MAX_KEY_CHARS:
            return KeyFault.MALFORMED
        found = self._known.get(self._digest(presented))
        if found is None:
            return KeyFault.UNKNOWN if is_well_formed(presented) else KeyFault.MALFORMED
        if isinstance(found, KeyRecord) and found.expires_ns is not None and now_ns >= found.expires_ns:
            return KeyFault.EXPIRED
        return found

    async def catch_up(self) -> None:
        """Take over what changed until now, where the database answers; while it does not, nobody waits for it."""
        begun = self._looks
        async with self._catching_up:
            if self._looks != begun or self.is_stale:
                # Somebody has looked since, or nobody can.
                return
            await asyncio.sleep(self._looked_s + 1 / LOOKS_PER_S - time.monotonic())
            self._looks += 1
            self._looked_s = time.monotonic()
            with contextlib.suppress(DatabaseUnavailable):
                await self.refresh()

    async def take_changes(self) -> None:
        """Take over what changed since the last time. Raises DatabaseUnavailable."""
        revision, rows = await store.read_changes(self._database, self._revision)
        if revision < self._revision:
            # The database was replaced by an older copy: what only this process remembers is gone.
            self._known.clear()
            self.revision += 1
            self._revision = 0
            revision, rows = await store.read_changes(self._database, 0)
        self._known.update((row.digest, _to_entry(row)) for row in rows)
        self.revision += bool(rows)
        self._revision = revision


def _to_entry(row: store.KeyChange) -> KeyRecord | KeyFault:
    if row.revoked_ns is not None:
        # What had expired is cleared away later, which is nobody's deed.
        is_over = row.expires_ns is not None and row.expires_ns <= row.revoked_ns
        return KeyFault.EXPIRED if is_over else KeyFault.REVOKED
    return KeyRecord(
        key_id=row.key_id,
        project_id=row.project_id,
        kind=row.kind,
        is_managing=row.is_managing,
        allowed_models=row.allowed_models,
        expires_ns=row.expires_ns,
        scopes=row.scopes,
        account_id=row.account_id,
        is_account_wide=row.is_account_wide,
        plan=row.plan,
        rate_overrides=row.rate_overrides,
        tags=row.tags,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        max_concurrent=row.max_concurrent,
        cache=row.cache,
        root_id=row.root_id,
        limits_in=row.limits_in,
        spends_in=row.spends_in,
    )
