"""Plays a stream of questions through the exact layer's store and through other policies, in stores of several sizes.

Answers are made up: their lengths and prices are drawn from the question, so that every policy meets the same ones.
"""

import hashlib
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from bench.semantic.play import read_stream
from cache.exact.store import OVERHEAD_BYTES, ExactStore, Item

STREAM = Path(__file__).parents[2] / "shared" / "data" / "semantic" / "stream_dev.jsonl"
SIZES_PCT = (1, 5, 20, 50)
# Bytes of the answers, from a word to a page, and what a byte costs at a small, a middle and a large model.
LENGTHS = (200, 400, 700, 1_200, 2_000, 3_500, 6_000, 12_000)
PRICES = (1,) * 12 + (8,) * 3 + (40,)
# S3-FIFO (Yang et al., SOSP 2023): the share of the queue for newcomers, and how often a use is counted at most.
SMALL_SHARE, MOST_USES = 10, 3


class Answer(msgspec.Struct, frozen=True):
    """What a question's answer takes and saves."""

    key: bytes
    size: int
    worth: int


class Policy(Protocol):
    """A store that decides what leaves."""

    def get(self, key: bytes) -> bool:
        """Whether the answer is there; counts as a use."""
        ...

    def put(self, answer: Answer) -> None:
        """Keep an answer."""
        ...


class Gdsf:
    """The store of the gateway."""

    def __init__(self, room: int) -> None:
        self._store = ExactStore(max_bytes=room, max_tenant_bytes=room)

    def get(self, key: bytes) -> bool:
        """See Policy."""
        return self._store.get(key, 0) is not None

    def put(self, answer: Answer) -> None:
        """See Policy."""
        size = answer.size - OVERHEAD_BYTES
        self._store.put(Item(key=answer.key, tenant="t", value=None, size=size, worth=answer.worth, expires_ns=2**62))


class Lru:
    """What was not used for longest leaves."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self._size = 0

    def get(self, key: bytes) -> bool:
        """See Policy."""
        if key not in self._sizes:
            return False
        self._sizes.move_to_end(key)
        return True

    def put(self, answer: Answer) -> None:
        """See Policy."""
        self._sizes[answer.key] = answer.size
        self._size += answer.size
        while self._size > self._room:
            self._size -= self._sizes.popitem(last=False)[1]


class S3Fifo:
    """A short queue for newcomers, a long one for what was used in it, and the names of those that left it unused."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._answers: dict[bytes, Answer] = {}
        self._uses: dict[bytes, int] = {}
        self._small: deque[bytes] = deque()
        self._main: deque[bytes] = deque()
        self._ghosts: OrderedDict[bytes, None] = OrderedDict()
        self._small_size = self._main_size = 0

    def get(self, key: bytes) -> bool:
        """See Policy."""
        if key not in self._answers:
            return False
        self._uses[key] = min(MOST_USES, self._uses[key] + 1)
        return True

    def put(self, answer: Answer) -> None:
        """See Policy."""
        self._answers[answer.key], self._uses[answer.key] = answer, 0
        if answer.key in self._ghosts:
            del self._ghosts[answer.key]
            self._to_main(answer)
        else:
            self._small.append(answer.key)
            self._small_size += answer.size
        while self._small_size + self._main_size > self._room:
            self._make_room()

    def _to_main(self, answer: Answer) -> None:
        self._main.append(answer.key)
        self._main_size += answer.size

    def _make_room(self) -> None:
        if self._small and (self._small_size * SMALL_SHARE > self._room or not self._main):
            answer = self._answers[self._small.popleft()]
            self._small_size -= answer.size
            if self._uses[answer.key]:
                self._uses[answer.key] = 0
                self._to_main(answer)
                return
            self._ghosts[answer.key] = None
            while len(self._ghosts) > len(self._main) + 1:
                self._ghosts.popitem(last=False)
        else:
            answer = self._answers[self._main.popleft()]
            if self._uses[answer.key]:
                self._uses[answer.key] -= 1
                self._main.append(answer.key)
                return
            self._main_size -= answer.size
        del self._answers[answer.key], self._uses[answer.key]


POLICIES: dict[str, Callable[[int], Policy]] = {"GDSF": Gdsf, "S3-FIFO": S3Fifo, "LRU": Lru}


def draw_answer(prompt: str) -> Answer:
    """The answer to a question: the same one each time."""
    key = hashlib.sha256(prompt.encode()).digest()[:16]
    length = LENGTHS[key[0] % len(LENGTHS)]
    return Answer(key, length + OVERHEAD_BYTES, length * PRICES[key[1] % len(PRICES)])


def play(answers: list[Answer], policy: Policy) -> tuple[int, int]:
    """Ask everything in turn; returns the hits and what they saved."""
    hits = saved = 0
    for answer in answers:
        if policy.get(answer.key):
            hits += 1
            saved += answer.worth
        else:
            policy.put(answer)
    return hits, saved


def main(stream: Path) -> int:
    """Print a table: hits of all requests and money saved of all money, by policy and size."""
    answers = [draw_answer(request.prompt) for request in read_stream(stream)]
    different = {answer.key: answer for answer in answers}
    whole = sum(answer.size for answer in different.values())
    most, spent = len(answers), sum(answer.worth for answer in answers)
    endless = play(answers, Lru(whole))
    print(f"{most:,} requests, {len(different):,} different, answers of {whole / 2**20:.0f} MiB in all")
    print(f"with room for all: {endless[0] / most:.1%} hits, {endless[1] / spent:.1%} of the money saved\n")
    print(f"| room | {' | '.join(f'{name}: hits | saved' for name in POLICIES)} |")
    print(f"|---|{'--:|--:|' * len(POLICIES)}")
    for percent in SIZES_PCT:
        played = [play(answers, make(whole * percent // 100)) for make in POLICIES.values()]
        cells = " | ".join(f"{hits / most:.1%} | {saved / spent:.1%}" for hits, saved in played)
        print(f"| {percent} % | {cells} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(STREAM))
