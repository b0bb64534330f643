"""Items in memory within a number of bytes, of which the least valuable leave first.

The policy is Greedy-Dual-Size-Frequency (Cherkasova, HP Labs 1998): an item is worth its uses times what one use saves,
by its size, above what the last one to leave was worth; so what is used no more grows old. Each tenant fills a share
of its own, so that nobody's flood pushes out another's items.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec

# What an item takes besides its own bytes: the objects around them and its places in the tables.
OVERHEAD_BYTES = 1_024
# More forgotten places in a heap than this many times its items are swept out.
_STALE_FACTOR = 4
_MIN_HEAP = 64


class Item(msgspec.Struct, kw_only=True, eq=False):
    """Something that is kept: ``size`` bytes that save ``worth``, in any unit, each time they are used."""

    key: bytes
    tenant: str
    value: Any
    size: int
    worth: int
    expires_ns: int
    uses: int = 1
    # As of its place in the heap.
    priority: float = 0.0
    ranked_uses: int = 0

    def __post_init__(self) -> None:
        """Count what an item takes besides its own bytes; what saves nothing that can be counted saves one."""
        self.size += OVERHEAD_BYTES
        self.worth = max(1, self.worth)


class _Share:
    """The items of one tenant; they get their places in the heap when the first has to leave."""

    __slots__ = ("age", "heap", "items", "newcomers", "size")

    def __init__(self) -> None:
        self.items: dict[bytes, Item] = {}
        self.heap: list[tuple[float, bytes]] = []
        self.newcomers: dict[bytes, Item] = {}
        self.size = 0
        # The priority of the last one that had to leave.
        self.age = 0.0

    def push(self, item: Item) -> None:
        """Give an item its place."""
        item.priority = self.age + item.uses * item.worth / item.size
        item.ranked_uses = item.uses
        heappush(self.heap, (item.priority, item.key))
        if len(self.heap) > max(_MIN_HEAP, _STALE_FACTOR * len(self.items)):
            self.heap = [(kept.priority, kept.key) for kept in self.items.values()]
            heapify(self.heap)

    def pop(self) -> Item | None:
        """Take the least valuable item; what was used since it got its place gets another."""
        for newcomer in self.newcomers.values():
            self.push(newcomer)
        self.newcomers.clear()
        while self.heap:
            priority, key = heappop(self.heap)
            item = self.items.get(key)
            if item is None or item.priority != priority:
                continue
            if item.uses != item.ranked_uses:
                self.push(item)
                continue
            self.age = priority
            return item
        return None


class ExactStore:
    """Items by their key; not for several threads."""

    def __init__(self, *, max_bytes: int, max_tenant_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_tenant_bytes = min(max_bytes, max_tenant_bytes)
        self._items: dict[bytes, Item] = {}
        self._shares: dict[str, _Share] = {}
        self.size = 0
        self.evictions = 0

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._items)

    def __contains__(self, key: bytes) -> bool:
        """Whether there is an item, be it too old."""
        return key in self._items

    def peek(self, key: bytes) -> Item | None:
        """An item as it is, be it too old; that is no use of it."""
        return self._items.get(key)

    def get(self, key: bytes, now_ns: int) -> Item | None:
        """Find an item and count its use; one that is too old is forgotten."""
        item = self._items.get(key)
        if item is None:
            return None
        if now_ns >= item.expires_ns:
            self.remove(key)
            return None
        item.uses += 1
        return item

    def put(self, item: Item) -> list[Item]:
        """Keep an item in place of any of its key; returns what had to leave, which may be the item itself."""
        if item.key in self._items:
            self.remove(item.key)
        share = self._shares.get(item.tenant)
        if share is None:
            share = self._shares[item.tenant] = _Share()
        self._items[item.key] = share.items[item.key] = share.newcomers[item.key] = item
        share.size += item.size
        self.size += item.size
        if share.size <= self._max_tenant_bytes and self.size <= self._max_bytes:
            return []
        gone: list[Item] = []
        while share.size > self._max_tenant_bytes:
            gone.append(self._evict(share))
        while self.size > self._max_bytes:
            gone.append(self._evict(max(self._shares.values(), key=lambda other: other.size)))
        return gone

    def remove(self, key: bytes) -> Item | None:
        """Forget an item; returns it where there was one."""
        item = self._items.pop(key, None)
        if item is not None:
            share = self._shares[item.tenant]
            del share.items[key]
            share.newcomers.pop(key, None)
            share.size -= item.size
            self.size -= item.size
            if not share.items:
                del self._shares[item.tenant]
        return item

    def of(self, tenant: str) -> Iterator[Item]:
        """The items of a tenant, as they are now."""
        share = self._shares.get(tenant)
        return iter(()) if share is None else iter(list(share.items.values()))

    def _evict(self, share: _Share) -> Item:
        item = share.pop()
        assert item is not None, "a share that takes room has items"  # noqa: S101 - for the type checkers
        self.remove(item.key)
        self.evictions += 1
        return item
