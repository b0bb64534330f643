"""The numbers that describe a pair of questions for the score: lexical ones beside the cosine, each about 0 to 1."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log

import msgspec

from cache.semantic.guards import GUARDS
from cache.semantic.lexical.contrast import describe_contrast, describe_rest
from cache.semantic.profile import Profile

_TRIGRAM = 3

PAIR_FEATURES = (
    "cosine", "cosine_high", "cosine_top", "words_shared", "content_shared", "weight_shared", "weight_only_left",
    "weight_only_right", "heaviest_only_left", "heaviest_only_right", "count_only_left", "count_only_right",
    "one_replaced", "one_added", "spelling_of_rest", "order_kept", "length_ratio", "length", "asks_same",
    "asks_yes_other", "asks_other", "negation", "negated", "tense", "names_shared", "names_only_left",
    "names_only_right", "numbers_shared", "numbers_one_side", "dates_one_side", "spans_one_side", "function_words",
    "same_start", "same_end", "near_left", "near_right", "lost_left", "lost_right", "worst_left", "worst_right", "swap",
    "swap_among_others", "swap_of_verb", "swap_near", "added_at_end", "added_inside", "added_at_start", "added",
    "prepositions", "persons",
)  # fmt: skip
CONTEXT_FEATURES = (
    "rank", "gap_to_first", "gap_to_next", "agreeing", "agreeing_weight", "disagreeing_cosine", "known_right",
    "known_wrong", "partition_size", "cosine_among",
)  # fmt: skip
FEATURES = (*PAIR_FEATURES, *CONTEXT_FEATURES, *(f"guard_{name}" for name in GUARDS))


class Frequencies:
    """In how many texts of a scope each stem was seen: what is rare there weighs more. Bounded; one thread.

    At ``max_words`` different stems, those seen once are forgotten.
    """

    def __init__(self, *, max_words: int = 50_000) -> None:
        self._counts: Counter[str] = Counter()
        self._texts = 0
        self._max_words = max_words

    def add(self, stems: Sequence[str]) -> None:
        """Count a text by its stems."""
        self._texts += 1
        self._counts.update(set(stems))
        if len(self._counts) > self._max_words:
            self._counts = Counter({word: count for word, count in self._counts.items() if count > 1})
            for word in list(self._counts)[: max(0, len(self._counts) - self._max_words)]:
                del self._counts[word]

    def weigh(self, stem: str) -> float:
        """Return how telling a stem is: 0 for one that stands in each text, 1 for one seen once in 10,000."""
        # A young scope knows little: the counts start from a text that has each word once in 200.
        return min(1.0, log((self._texts + 200) / (self._counts.get(stem, 0) + 1)) / log(10_000))

    def export(self) -> dict[str, object]:
        """Return the state as plain values: the commonest words."""
        return {"texts": self._texts, "words": dict(self._counts.most_common(self._max_words // 5))}

    def restore(self, state: object) -> None:
        """Take over an exported state; raises msgspec.ValidationError for one that is damaged."""
        saved = msgspec.convert(state, _Counted)
        self._texts, self._counts = saved.texts, Counter(saved.words)


class _Counted(msgspec.Struct, frozen=True, kw_only=True):
    texts: int
    words: dict[str, int]


class Pair(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A question beside a stored one."""

    left: Profile
    right: Profile
    cosine: float


def describe_pair(pair: Pair, frequencies: Frequencies) -> list[float]:
    """Return PAIR_FEATURES for a question (left) and a stored one (right)."""
    left, right, cosine = pair.left, pair.right, pair.cosine
    shared, only_left, only_right = _split(left.content, right.content)
    weights = [[frequencies.weigh(word) for word in words] for words in (shared, only_left, only_right)]
    total = sum(map(sum, weights)) + 0.01
    left_words, right_words = set(left.words), set(right.words)
    union = len(left_words | right_words) or 1
    common = left_words & right_words
    function_left = left_words.difference(left.content)
    function_right = right_words.difference(right.content)
    names_left, names_right = (
        left.names.difference(right.words, right.names),
        right.names.difference(left.words, left.names),
    )
    return [
        cosine,
        max(0.0, cosine - 0.85) * 6,
        max(0.0, cosine - 0.95) * 20,
        len(common) / union,
        len(shared) / (len(shared) + len(only_left) + len(only_right) or 1),
        sum(weights[0]) / total,
        sum(weights[1]) / total,
        sum(weights[2]) / total,
        max(weights[1], default=0.0),
        max(weights[2], default=0.0),
        min(len(only_left), 4) / 4,
        min(len(only_right), 4) / 4,
        float(len(only_left) == 1 and len(only_right) == 1),
        float(len(only_left) + len(only_right) == 1),
        _match_spelling(only_left, only_right),
        _measure_order(left.content, right.content),
        min(len(left.words), len(right.words)) / (max(len(left.words), len(right.words)) or 1),
        min(len(left.words), 20) / 20,
        float(left.asks == right.asks),
        float((left.asks == "yes") != (right.asks == "yes")),
        float(left.asks != right.asks and bool(left.asks) and bool(right.asks)),
        float(left.negations % 2 != right.negations % 2),
        float(bool(left.negations) and bool(right.negations)),
        float(left.tenses != right.tenses),
        min(len(left.names & right.names), 3) / 3,
        min(len(names_left), 2) / 2,
        min(len(names_right), 2) / 2,
        float(bool(left.numbers) and left.numbers == right.numbers),
        float(bool(left.numbers) != bool(right.numbers)),
        float(bool(left.dates) != bool(right.dates)),
        float(bool(left.spans) != bool(right.spans)),
        len(function_left & function_right) / (len(function_left | function_right) or 1),
        float(left.words[:2] == right.words[:2]),
        float(left.words[-2:] == right.words[-2:]),
        *describe_rest(only_left, only_right, (weights[1], weights[2])),
        *describe_contrast(left, right),
    ]


def describe_vetoes(vetoes: Sequence[str]) -> list[float]:
    """Return a 1 for each guard that objects, in the order of the guards."""
    return [float(name in vetoes) for name in GUARDS]


def _split(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[list[str], list[str], list[str]]:
    left_words, right_words = dict.fromkeys(left), dict.fromkeys(right)
    shared = [word for word in left_words if word in right_words]
    return (
        shared,
        [word for word in left_words if word not in right_words],
        [word for word in right_words if word not in left_words],
    )


def _trigrams(words: Sequence[str]) -> Counter[str]:
    text = " ".join(words)
    return Counter(text[at : at + _TRIGRAM] for at in range(max(0, len(text) - _TRIGRAM + 1)))


def _match_spelling(left: Sequence[str], right: Sequence[str]) -> float:
    """Tell how like the words that are not shared are spelt: 1 where nothing is left over, 0 where nothing is alike."""
    if not left and not right:
        return 1.0
    if not left or not right:
        return 0.0
    first, second = _trigrams(left), _trigrams(right)
    return 2 * (first & second).total() / (first.total() + second.total() or 1)


def _measure_order(left: tuple[str, ...], right: tuple[str, ...]) -> float:
    """Tell which share of the shared words' neighbours in one text keep their order in the other."""
    place: Mapping[str, int] = {word: at for at, word in enumerate(right)}
    places = [place[word] for word in dict.fromkeys(left) if word in place]
    steps = list(pairwise(places))
    return sum(a < b for a, b in steps) / len(steps) if steps else 1.0
