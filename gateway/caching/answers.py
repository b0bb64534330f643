"""The answers that this process keeps, found by their requests' keys and by their own ids.

Failure behavior: it is memory within bounds, so there is nothing to fail; what had to leave is a miss.
"""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from cache.exact.repeats import Repeats
from cache.exact.store import ExactStore, Item
from cache.recent import Recent
from providers.chat import Usage
from providers.openai.batches import Piece
from providers.openai.recorded import Recorded, is_whole
from providers.wire import Call

NS_PER_S = 1_000_000_000
# What processes share lives no longer, and what was purged is remembered as long.
MAX_SHARED_S = 7 * 86_400
# So many refreshes are told at once, and remembered by a process.
MAX_REFRESHES = 50_000


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and where it came from."""

    entry_id: str
    project_id: str
    # The name that its caller used.
    model: str
    provider: str
    upstream_model: str
    # Header lines that name provider and model.
    lines: bytes
    is_free: bool
    tags: tuple[str, ...]
    created_ns: int
    usage: Usage
    recorded: Recorded
    # How long its own call wanted it kept; 0: as long as its project wants.
    ttl_s: int = 0

    def with_spared(self, tokens: int) -> "StoredAnswer":
        """As somebody has it who was not charged for any of it; ``tokens`` were spared already."""
        usage = msgspec.structs.replace(self.usage, input_tokens=self.usage.input_tokens + tokens)
        return msgspec.structs.replace(self, usage=usage)


class StoredInput(msgspec.Struct, frozen=True, kw_only=True):
    """What answers one input of an embeddings call."""

    # The answer that it came in; of its body only what stands around the vectors.
    origin: StoredAnswer
    piece: Piece
    tokens: int

    @property
    def entry_id(self) -> str:
        """The entry that it belongs to."""
        return self.origin.entry_id

    @property
    def model(self) -> str:
        """The name that its caller used."""
        return self.origin.model

    @property
    def tags(self) -> tuple[str, ...]:
        """Its caller's."""
        return self.origin.tags

    @property
    def created_ns(self) -> int:
        """When it was asked for."""
        return self.origin.created_ns


class Dated(Protocol):
    """What a purge asks of what it may cover."""

    @property
    def entry_id(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def created_ns(self) -> int: ...


class Owned(Dated, Protocol):
    """The same, and whose it is."""

    @property
    def project_id(self) -> str: ...


class Purge(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a project's answers go: those that meet every term given; without one, all."""

    project_id: str
    entry_ids: frozenset[str] | None = None
    tag: str | None = None
    model: str | None = None
    # Stored before this time.
    before_ns: int | None = None

    def covers(self, answer: Dated) -> bool:
        """Whether an answer meets the terms."""
        return (
            (self.entry_ids is None or answer.entry_id in self.entry_ids)
            and (self.tag is None or self.tag in answer.tags)
            and (self.model is None or answer.model == self.model)
            and (self.before_ns is None or answer.created_ns < self.before_ns)
        )


def entry_id_of(request_id: str) -> str:
    """The id of the entry that a call's answer becomes."""
    return f"ce_{request_id}"


class SharedLevel(Protocol):
    """Answers that processes share; see gateway.caching.shared."""

    async def find(self, key: bytes, project_id: str) -> StoredAnswer | None:
        """The answer to a request, put into this process's memory as well; None for whatever else may be."""
        ...

    def put(self, key: bytes, answer: StoredAnswer, *, ttl_s: int, saved_pusd: int) -> None:
        """Have an answer shared, some time later."""
        ...


class Answers:
    """What is kept; one a process."""

    def __init__(self, *, max_bytes: int, max_project_bytes: int, max_answer_bytes: int) -> None:
        self._store = ExactStore(max_bytes=max_bytes, max_tenant_bytes=max_project_bytes)
        self.max_answer_bytes = max_answer_bytes
        # Requests that were answered with what is kept.
        self.repeats: Repeats[Call] = Repeats()
        # When what took the place of whatever was kept for a request was asked for.
        self._refreshed: Recent[bytes, int] = Recent(MAX_REFRESHES)

    def __len__(self) -> int:
        """How many answers are kept, of embeddings by input."""
        return len(self._store)

    @property
    def size(self) -> int:
        """Bytes that they take."""
        return self._store.size

    @property
    def evictions(self) -> int:
        """How many had to leave for others."""
        return self._store.evictions

    def find(self, key: bytes, now_ns: int) -> StoredAnswer | None:
        """The answer to a request, None where none is kept or it is too old."""
        item = self._store.get(key, now_ns)
        if item is None:
            return None
        answer: StoredAnswer = item.value
        return answer

    def find_input(self, key: bytes, now_ns: int) -> StoredInput | None:
        """What answers one input of an embeddings call, as ``find``."""
        item = self._store.get(key, now_ns)
        if item is None:
            return None
        found: StoredInput = item.value
        return found

    def keep_input(self, key: bytes, kept: StoredInput, *, ttl_s: int, saved_pusd: int) -> bool:
        """Keep what answers one input of an embeddings call, as ``keep``."""
        if kept.piece.size > self.max_answer_bytes:
            return False
        item = Item(
            key=key,
            tenant=kept.origin.project_id,
            value=kept,
            size=kept.piece.size,
            worth=saved_pusd,
            expires_ns=kept.created_ns + ttl_s * NS_PER_S,
        )
        return self._put(item)

    def keep(self, key: bytes, answer: StoredAnswer, *, ttl_s: int, saved_pusd: int) -> bool:
        """Keep an answer for a time, in place of any that was asked for before it; tells whether it is kept."""
        size = answer.recorded.size
        if size > self.max_answer_bytes:
            return False
        item = Item(
            key=key,
            tenant=answer.project_id,
            value=answer,
            # Twice: in time it is kept in the form that a later caller wants as well.
            size=2 * size,
            worth=saved_pusd,
            expires_ns=answer.created_ns + ttl_s * NS_PER_S,
        )
        return self._put(item)

    def has(self, key: bytes) -> bool:
        """Whether an answer to a request is here, be it too old."""
        return key in self._store

    def of(self, project_id: str) -> Iterator[Item]:
        """What is kept of a project, as it is now."""
        return self._store.of(project_id)

    def forget(self, key: bytes) -> None:
        """Remove the answer to a request."""
        self._store.remove(key)

    def refresh(self, key: bytes, created_ns: int) -> None:
        """Some process answered a request anew: what was asked for before is not kept, be it still under way."""
        self._refreshed.put(key, max(created_ns, self._refreshed.get(key) or 0))
        item = self._store.peek(key)
        if item is not None and item.value.created_ns < created_ns:
            self._store.remove(key)

    def is_refreshed(self, key: bytes, created_ns: int) -> bool:
        """Whether a request was answered anew since an answer of this time was asked for."""
        return created_ns < (self._refreshed.get(key) or 0)

    def purge(self, purge: Purge) -> set[str]:
        """Remove what a purge covers, with what is remembered of requests; returns the ids of what went."""
        self.repeats.clear()
        gone = [item for item in self.of(purge.project_id) if purge.covers(item.value)]
        for item in gone:
            self._store.remove(item.key)
        return {item.value.entry_id for item in gone}

    def _put(self, item: Item) -> bool:
        before, created_ns = self._store.peek(item.key), item.value.created_ns
        if (before is not None and before.value.created_ns > created_ns) or self.is_refreshed(item.key, created_ns):
            # A call that was refreshed meanwhile ends late: who asked for a newer answer shall keep it.
            return False
        return item not in self._store.put(item)


def is_old(answer: StoredAnswer, now_ns: int, ttl_s: int, max_age_s: int | None = None) -> bool:
    """Whether an answer is too old now for a project that keeps answers so long, however long it did before.

    ``max_age_s``: what its caller wants; None: nothing.
    """
    life_s = answer.ttl_s or ttl_s
    return now_ns - answer.created_ns >= (life_s if max_age_s is None else min(life_s, max_age_s)) * NS_PER_S


def prove(recorded: Recorded, choices: int, *, allows_calls: bool) -> bool:
    """Whether an answer that is asked for again may be given again; it is read once."""
    if not recorded.is_proven:
        recorded.is_proven = is_whole(recorded, choices, allows_calls=allows_calls)
        # Remembered apart: the policy may change.
        is_calling = recorded.is_proven and allows_calls
        recorded.has_calls = is_calling and not is_whole(recorded, choices, allows_calls=False)
    return recorded.is_proven and (allows_calls or not recorded.has_calls)


def hit_lines(answer: StoredAnswer, now_ns: int, what: bytes = b"hit-exact") -> bytes:
    """The header lines of an answer that is given again; its age in whole seconds."""
    return (
        b"x-watchllm-cached: true\r\nx-watchllm-cache: %s\r\nx-watchllm-cache-entry: %s\r\n"
        b"x-watchllm-cache-age: %d\r\nx-watchllm-tokens-saved: %d\r\n"
        % (what, answer.entry_id.encode(), max(0, now_ns - answer.created_ns) // NS_PER_S, answer.usage.total_tokens)
    )
