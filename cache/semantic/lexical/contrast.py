"""Where two questions part: what stands in the one place that differs, and how near the words not shared are."""

from collections.abc import Sequence

import msgspec

from cache.semantic.lexical.meanings import load_meanings
from cache.semantic.profile import Profile, stem

# Words in a place that differs; more is another sentence.
MOST_REPLACED = 4
# Stems of one side that are compared, the first ones; those behind them count as without a counterpart.
MOST_COMPARED = 12
_SUBJECTS = frozenset(("i", "we", "you"))
_SOMEBODY = frozenset(map(stem, "someone somebody anyone anybody people person".split()))
# Behind these stands a verb: what is done, not a thing.
_BEFORE_VERBS = _SUBJECTS | frozenset(map(stem, "they he she it one to not please must may let".split()))
_PREPOSITIONS = frozenset(
    "to from in out into of on off at for by with without about over under between through up down".split()
)
_PERSONS = (
    frozenset("i me my mine myself we us our ours".split()),
    frozenset("you your yours yourself".split()),
    frozenset("he him his she her they them their someone somebody".split()),
)


class Contrast(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Two texts as a common beginning, a place where they differ, and a common end; without articles and marks."""

    before: tuple[str, ...]
    left: tuple[str, ...]
    right: tuple[str, ...]
    after: tuple[str, ...]
    # Of left and right, the words that carry content; none where no content is shared around the place.
    left_content: tuple[str, ...]
    right_content: tuple[str, ...]

    @property
    def is_swap(self) -> bool:
        """Tell whether content stands on both sides of the place, and little else."""
        return bool(self.left_content and self.right_content) and max(len(self.left), len(self.right)) <= MOST_REPLACED

    @property
    def is_pure(self) -> bool:
        """Tell whether the place holds content alone, or behind prepositions: one thing for another."""
        content = (*self.left_content, *self.right_content)
        return all(word in content or word in _PREPOSITIONS or word in _SOMEBODY for word in (*self.left, *self.right))

    @property
    def is_verb(self) -> bool:
        """Tell whether the place is that of what is done."""
        return bool(self.before) and self.before[-1] in _BEFORE_VERBS

    @property
    def added(self) -> tuple[str, ...]:
        """Return the content that one text only adds in the place; empty where it replaces something."""
        return () if self.left and self.right else self.left_content or self.right_content


# The latest pair: its guards and its features ask for the contrast one after the other.
_latest: list[tuple[Profile, Profile, Contrast]] = []


def find_contrast(left: Profile, right: Profile) -> Contrast:
    """Return where two texts part."""
    for known_left, known_right, contrast in _latest:
        if known_left is left and known_right is right:
            return contrast
    contrast = _compare(left, right)
    _latest[:] = [(left, right, contrast)]
    return contrast


def _compare(left: Profile, right: Profile) -> Contrast:
    first, second = left.plain, right.plain
    least = min(len(first), len(second))
    start = 0
    while start < least and first[start] == second[start]:
        start += 1
    end = 0
    while end < least - start and first[-1 - end] == second[-1 - end]:
        end += 1
    before, after = first[:start], first[len(first) - end :]
    replaced, other = first[start : len(first) - end], second[start : len(second) - end]
    is_framed = any(word in left.content and word in right.content for word in (*before, *after))
    return Contrast(
        before=before,
        left=replaced,
        right=other,
        after=after,
        left_content=tuple(word for word in replaced if word in left.content) if is_framed else (),
        right_content=tuple(word for word in other if word in right.content) if is_framed else (),
    )


def measure_swap(contrast: Contrast) -> float:
    """Return how near the contents of both sides are, from 0 to 1; 1 where it is no swap."""
    if not contrast.is_swap:
        return 1.0
    left, right = contrast.left_content, contrast.right_content
    if "".join(left) == "".join(right):
        return 1.0
    nearest = _find_nearest(left, right)
    return min(sum(side) / len(side) for side in nearest)


def is_other_thing(left: Profile, right: Profile, limit: float) -> bool:
    """Tell whether two texts are alike but for one thing or person in one place, and the two are not near."""
    contrast = find_contrast(left, right)
    if _is_other_person(contrast):
        return True
    if not contrast.is_swap or contrast.is_verb or not contrast.is_pure:
        return False
    # Numbers are not a matter of meaning: "2" and "two" are compared by a guard of their own.
    if any(word[0].isdigit() for word in (*contrast.left, *contrast.right)):
        return False
    return measure_swap(contrast) < limit


def is_condition(left: Profile, right: Profile) -> bool:
    """Tell whether one text is the other with a noun or a prepositional phrase behind it: "card", "in Delhi"."""
    contrast = find_contrast(left, right)
    place = contrast.left or contrast.right
    return bool(contrast.added) and not contrast.after and (len(place) == 1 or place[0] in _PREPOSITIONS)


def describe_contrast(left: Profile, right: Profile) -> list[float]:
    """Describe the place where two texts part, and how their small words differ: ten numbers."""
    contrast = find_contrast(left, right)
    added, is_swap = contrast.added, contrast.is_swap
    is_pure = is_swap and contrast.is_pure
    other = left.raw ^ right.raw
    persons = sum(left.raw.isdisjoint(words) != right.raw.isdisjoint(words) for words in _PERSONS)
    return [
        float(is_pure),
        float(is_swap and not is_pure),
        float(is_swap and contrast.is_verb),
        measure_swap(contrast),
        float(bool(added) and not contrast.after),
        float(bool(added and contrast.before and contrast.after)),
        float(bool(added) and not contrast.before),
        min(len(added), 3) / 3,
        min(len(other & _PREPOSITIONS), 3) / 3,
        min(persons, 2) / 2,
    ]


def describe_rest(left: Sequence[str], right: Sequence[str], weights: tuple[list[float], list[float]]) -> list[float]:
    """Describe the stems that are not shared by what is nearest to each on the other side: six numbers.

    Of both sides: how near they are on average, by weight; the weight without a counterpart; the most of one word.
    """
    means, losses, worst = list[float](), list[float](), list[float]()
    for nearest, side in zip(_find_nearest(left, right), weights, strict=True):
        total = sum(side)
        lost = [weight * (1 - near) for near, weight in zip(nearest, side, strict=True)]
        means.append(1 - sum(lost) / total if total > 0 else 1.0)
        losses.append(min(1.0, sum(lost) / 3))
        worst.append(max(lost, default=0.0))
    return [*means, *losses, *worst]


def _find_nearest(left: Sequence[str], right: Sequence[str]) -> tuple[list[float], list[float]]:
    """Return for each stem of both sides how near the nearest of the other side is."""
    if not left or not right:
        return [0.0] * len(left), [0.0] * len(right)
    near = load_meanings().compare(left[:MOST_COMPARED], right[:MOST_COMPARED])
    rows = [max(0.0, *row) for row in near]
    columns = [max(0.0, *column) for column in zip(*near, strict=True)]
    return rows + [0.0] * (len(left) - len(rows)), columns + [0.0] * (len(right) - len(columns))


def _is_other_person(contrast: Contrast) -> bool:
    """Tell whether one text asks of "I" or "you" what the other asks of somebody who is named."""
    left, right = contrast.left, contrast.right
    if not contrast.after or min(len(left), len(right)) != 1:
        return False
    return (left[0] in _SUBJECTS and 0 < len(contrast.right_content) == len(right)) or (
        right[0] in _SUBJECTS and 0 < len(contrast.left_content) == len(left)
    )
