"""What is known of the stored questions beside their texts and vectors: by number, by id and by their requests' keys.

Bounded: of the project that has most, the oldest goes first. One thread.
"""

from collections.abc import Iterator

from gateway.caching.answers import Purge
from gateway.caching.semantic.interface import Kept


class Shelf:
    """The stored questions of a process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[int, Kept] = {}
        self._by_key: dict[bytes, int] = {}
        self._by_id: dict[str, int] = {}
        # In the order in which they came.
        self._projects: dict[str, dict[int, None]] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._kept)

    def __iter__(self) -> Iterator[Kept]:
        """All of them, as they are now."""
        return iter(list(self._kept.values()))

    def get(self, number: int) -> Kept | None:
        """The one of a number."""
        return self._kept.get(number)

    def of_key(self, key: bytes) -> Kept | None:
        """The one whose request has this key."""
        number = self._by_key.get(key)
        return None if number is None else self._kept[number]

    def of_id(self, entry_id: str) -> Kept | None:
        """The one of an entry's id."""
        number = self._by_id.get(entry_id)
        return None if number is None else self._kept[number]

    def add(self, kept: Kept) -> list[int]:
        """Take one in place of an older one of its key; returns the numbers that had to leave, be it its own."""
        number, gone = kept.number, list[int]()
        before = self.of_key(kept.key)
        if before is not None:
            if before.created_ns > kept.created_ns:
                return [number]
            gone.append(before.number)
            self.remove(gone)
        self._kept[number] = kept
        self._by_key[kept.key] = self._by_id[kept.entry_id] = number
        own = self._projects.get(kept.project_id)
        if own is None:
            own = self._projects[kept.project_id] = {}
        own[number] = None
        while len(self._kept) > self._most:
            largest = max(self._projects.values(), key=len)
            oldest = next(iter(largest))
            gone.append(oldest)
            self.remove([oldest])
        return gone

    def remove(self, numbers: list[int]) -> list[Kept]:
        """Forget some; returns those that there were."""
        gone = [kept for kept in map(self._kept.pop, numbers, [None] * len(numbers)) if kept is not None]
        for kept in gone:
            if self._by_key.get(kept.key) == kept.number:
                del self._by_key[kept.key]
            if self._by_id.get(kept.entry_id) == kept.number:
                del self._by_id[kept.entry_id]
            own = self._projects[kept.project_id]
            del own[kept.number]
            if not own:
                del self._projects[kept.project_id]
        return gone

    def find(self, purge: Purge) -> list[Kept]:
        """Those that a purge covers."""
        own = [self._kept[number] for number in self._projects.get(purge.project_id, ())]
        return [kept for kept in own if purge.covers(kept)]

    def find_expired(self, now_ns: int) -> list[Kept]:
        """Those that are too old to be given."""
        return [kept for kept in self._kept.values() if kept.expires_ns <= now_ns]
