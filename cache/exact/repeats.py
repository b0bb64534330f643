"""Requests that came again byte for byte: what was read of them once need not be read again.

Only what an answer was found for is remembered, so a request that comes once costs no more than a look; and for its
owner alone, so that nobody can tell by the clock what others ask. One thread.
"""

from typing import Generic, TypeVar

T = TypeVar("T")

MAX_BODY_BYTES = 16_384
MAX_BYTES = 4_194_304
# Of one request at several places, such as after its route was changed.
_MAX_KEYS = 8


class Repeat(Generic[T]):
    """A request: what it was read as, and its keys by the place that they were made for."""

    __slots__ = ("call", "keys")

    def __init__(self, call: T) -> None:
        self.call = call
        self.keys: dict[bytes, bytes] = {}

    def note(self, place: bytes, key: bytes) -> None:
        """Remember a key."""
        if len(self.keys) < _MAX_KEYS:
            self.keys[place] = key


class Repeats(Generic[T]):
    """The latest of them, by owner and body, within a number of bytes."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._max_bytes = max_bytes
        self.max_body_bytes = max_body_bytes
        self._kept: dict[tuple[str, bytes], Repeat[T]] = {}
        # Asked for each request; no method of ours is as fast as the dictionary's own.
        self.find = self._kept.get
        self.size = 0

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._kept)

    def keep(self, owner: str, body: bytes, call: T) -> None:
        """Remember a request, in place of those that were remembered first where there is no room."""
        if len(body) > self.max_body_bytes or (owner, body) in self._kept:
            return
        self._kept[owner, body] = Repeat(call)
        self.size += len(body)
        while self.size > self._max_bytes:
            first = next(iter(self._kept))
            del self._kept[first]
            self.size -= len(first[1])

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self.size = 0
