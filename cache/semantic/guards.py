"""Lexical guards: reasons why two questions cannot share an answer, however near their vectors are."""

from collections import Counter
from itertools import pairwise

from cache.semantic.lexical.contrast import is_condition, is_other_thing
from cache.semantic.lexical.grammar import find_small, have_other_signs
from cache.semantic.profile import Profile, stem
from cache.semantic.words import ANTONYMS, SCOPES, SYMMETRIC

# Letters of a word that takes a prefix, and of an acronym.
_SHORTEST = 4
_ACRONYM = range(2, 6)
# Content words of a padded question that are not asked for, their share of it, and the share that it may lack.
_EXTRA = 3
# The same, where the question that is asked stands in it word for word.
_BESIDE = 2
_EXTRA_SHARE = 0.4
_LACKING = 0.25
# How near two names must be to stand for each other where nothing else differs.
_SAME_THING = 0.4
_PERCENT = "percent"
_COPULAS = frozenset(("is", "are", "was", "were"))
_ORDINALS = {"first": "#1", "second": "#2"}
_OPPOSITES: dict[str, set[str]] = {}
for _word, _others in ANTONYMS.items():
    _OPPOSITES.setdefault(stem(_word), set()).update(map(stem, _others))
_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "mis", "de")


def find_vetoes(asked: Profile, stored: Profile) -> tuple[str, ...]:
    """Return the names of the guards that forbid the stored answer for what is asked: none, and they are silent."""
    names = tuple(name for name, forbids in GUARDS.items() if forbids(asked, stored))
    return (*names, *find_small(asked, stored), *(("padding",) if is_padded(asked, stored) else ()))


def contradict(left: Profile, right: Profile, *, is_whole: bool) -> bool:
    """Tell whether two answers cannot both be right; ``is_whole``: nothing stands behind what is read of them.

    Only what is hardly ever said of the same thing in other words: answers may differ in all others.
    """
    if left.says and right.says and left.says != right.says:
        return True
    measured = (have_other_units, have_other_dates, have_other_signs)
    return is_whole and (
        left.signs != right.signs
        or any(differ(left, right) for differ in measured)
        or _contradict_in_a_word(left, right)
    )


def _contradict_in_a_word(left: Profile, right: Profile) -> bool:
    """Tell whether two answers say the opposite by one word, a "not", or the order of all their words."""
    only_left, only_right = set(left.content) - set(right.content), set(right.content) - set(left.content)
    if len(only_left) > 1 or len(only_right) > 1:
        return False
    if have_antonyms(left, right) or find_small(left, right):
        return True
    if only_left or only_right:
        return False
    denies = have_other_negation(left, right) and not left.says
    is_permuted = left.words != right.words and Counter(left.words) == Counter(right.words)
    return denies or (is_permuted and not _is_rotated(left.words, right.words) and not _is_equated(left, right))


def is_padded(asked: Profile, stored: Profile) -> bool:
    """Tell whether a stored question holds all of what is asked, or nearly all, beside much else.

    So does one that an attacker filled up with words until it lies near to another's question.
    """
    wanted, held = set(asked.content), set(stored.content)
    extra = len(held - wanted)
    if extra >= _BESIDE and _carries(stored.words, asked.words):
        return True
    return extra >= _EXTRA and extra >= _EXTRA_SHARE * len(held) and len(wanted - held) <= _LACKING * len(wanted)


def have_other_numbers(left: Profile, right: Profile) -> bool:
    """Tell whether each text has a number that the other has not, or other signs stand between them."""
    if left.signs != right.signs and left.signs and right.signs:
        return True
    first, second = _read_ones(left, right), _read_ones(right, left)
    if first == second:
        return False
    return bool(Counter(first) - Counter(second)) and bool(Counter(second) - Counter(first))


def have_other_units(left: Profile, right: Profile) -> bool:
    """Tell whether the same amounts are in other units, or each text names a unit that the other has not."""
    if left.amounts != right.amounts and left.amounts and right.amounts:
        return True
    if (_PERCENT in left.units) != (_PERCENT in right.units) and set(left.numbers) & set(right.numbers):
        return True
    return _each_has_other(left.units, right.units)


def have_other_dates(left: Profile, right: Profile) -> bool:
    """Tell whether each text names a day, month, season or time of day that the other has not, or "last" and "next"."""
    return _each_has_other(left.dates, right.dates) or _each_has_other(left.relatives, right.relatives)


def have_other_quantities(left: Profile, right: Profile) -> bool:
    """Tell whether each text has a number or a date that the other has not, as "2 days" and "this morning"."""
    first, second = {*left.numbers, *left.dates}, {*right.numbers, *right.dates}
    return bool(first - second) and bool(second - first)


def have_other_things(left: Profile, right: Profile) -> bool:
    """Tell whether the texts are alike but for one name in one place, and the two names are no synonyms."""
    return is_other_thing(left, right, _SAME_THING)


def have_other_negation(left: Profile, right: Profile) -> bool:
    """Tell whether one text denies what the other asserts."""
    return left.negations % 2 != right.negations % 2


def have_antonyms(left: Profile, right: Profile) -> bool:
    """Tell whether a word of one text meets its opposite in the other, in whatever form."""
    stems_left, stems_right = frozenset(left.words), frozenset(right.words)
    opposed = stems_right - stems_left
    if any(_OPPOSITES[word] & opposed for word in stems_left - stems_right if word in _OPPOSITES):
        return True
    only_left, only_right = left.raw - right.raw, right.raw - left.raw
    return _are_turned(only_left, only_right) or _are_turned(only_right, only_left)


def have_other_names(left: Profile, right: Profile) -> bool:
    """Tell whether each text names something that the other does not have."""
    only_left = left.names.difference(right.words, right.names)
    only_right = right.names.difference(left.words, left.names)
    if only_left and only_right:
        return not _is_acronym(left, right)
    return False


def have_other_spans(left: Profile, right: Profile) -> bool:
    """Tell whether each text has a quote, code, an address or an identifier that the other has not.

    In other scripts than the Latin one nothing is known but the characters: they have to be the same.
    """
    if left.foreign != right.foreign:
        return True
    if left.spans == right.spans or not (left.spans and right.spans):
        return False
    return any(not span <= right.raw for span in left.spans) and any(not span <= left.raw for span in right.spans)


def have_other_order(left: Profile, right: Profile) -> bool:
    """Tell whether the same words stand in another order, or two names have changed their places."""
    if left.words == right.words:
        return False
    names = left.names & right.names
    if _is_turned(left, right, names):
        return True
    if _is_commutative(left, right):
        return False
    if len(names) > 1 and _order(left, names) != _order(right, names):
        return True
    # Nearly all differ in length, which costs nothing to see.
    is_same = len(left.words) == len(right.words) and Counter(left.words) == Counter(right.words)
    return is_same and not _is_rotated(left.words, right.words)


def have_other_scope(left: Profile, right: Profile) -> bool:
    """Tell whether one text only adds a condition of time, place or case to the other."""
    if (left.raw ^ right.raw).isdisjoint(SCOPES):
        return False
    only_left, only_right = set(left.content) - set(right.content), set(right.content) - set(left.content)
    return bool(only_left) != bool(only_right)


def _each_has_other(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Tell whether each side names something that the other does not."""
    return bool(left and right) and not set(left) <= set(right) and not set(right) <= set(left)


def _carries(words: tuple[str, ...], run: tuple[str, ...]) -> bool:
    """Tell whether words stand in a text one behind the other."""
    size = len(run)
    return size > 1 and any(words[at : at + size] == run for at in range(len(words) - size + 1) if words[at] == run[0])


def _read_ones(text: Profile, other: Profile) -> tuple[str, ...]:
    """Return the numbers of a text; "one", "first" and "second", which mostly count nothing, where the other counts."""
    more: list[str] = []
    if "one" in text.raw and "one" not in other.raw and other.numbers:
        more.append("1")
    if any(number.startswith("#") for number in other.numbers) or _ORDINALS.keys() & other.raw:
        more += [number for word, number in _ORDINALS.items() if word in text.raw]
    return (*text.numbers, *more)


def _is_turned(left: Profile, right: Profile, names: frozenset[str]) -> bool:
    """Tell whether who did it and to whom it was done have changed their places, though the names stand as they did.

    As in "Did Ann hurt Ben?" and "Was Ann hurt by Ben?", "Who beat Ann?" and "Who did Ann beat?".
    """
    if len(names) > 1 and _is_passive(left, names) != _is_passive(right, names):
        return _order(left, names) == _order(right, names)
    is_who = left.asks == right.asks == "who" and left.content != right.content
    return is_who and bool(names) and Counter(left.content) == Counter(right.content)


def _is_passive(text: Profile, names: frozenset[str]) -> bool:
    """Tell whether "by" stands before one of the names."""
    return any(word == "by" and behind in names for word, behind in pairwise(text.words))


def _is_commutative(left: Profile, right: Profile) -> bool:
    """Tell whether a word such as "and" makes the order of its two sides meaningless, or a passive turns it round."""
    symmetric = bool(left.raw & SYMMETRIC) and bool(right.raw & SYMMETRIC)
    return symmetric or ("by" in left.raw) != ("by" in right.raw)


def _order(text: Profile, names: frozenset[str]) -> list[str]:
    return list(dict.fromkeys(word for word in text.words if word in names))


def _is_rotated(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Tell whether the end of one text only stands at the beginning of the other."""
    return any(left[at:] + left[:at] == right for at in range(1, len(left)))


def _is_equated(left: Profile, right: Profile) -> bool:
    """Tell whether two sides of an "is" have changed their places, as in "Paris is the capital"."""
    return any(
        (*left.words[at + 1 :], word, *left.words[:at]) == right.words
        for at, word in enumerate(left.words)
        if word in _COPULAS
    )


def _are_turned(words: frozenset[str], others: frozenset[str]) -> bool:
    """Tell whether a prefix makes one of the words out of one of the others, as "in" makes "invisible"."""
    return any(
        rest in others
        for word in words
        if word.startswith(_PREFIXES)
        for prefix in _PREFIXES
        if len(rest := word.removeprefix(prefix)) >= _SHORTEST
    )


def _is_acronym(left: Profile, right: Profile) -> bool:
    """Tell whether a name of one text is made of the first letters of words of the other."""
    initials_left = "".join(word[0] for word in left.words)
    initials_right = "".join(word[0] for word in right.words)
    short_left = {name for name in left.names if len(name) in _ACRONYM}
    short_right = {name for name in right.names if len(name) in _ACRONYM}
    return any(name in initials_right for name in short_left) or any(name in initials_left for name in short_right)


GUARDS = {
    "numbers": have_other_numbers,
    "units": have_other_units,
    "dates": have_other_dates,
    "negation": have_other_negation,
    "antonyms": have_antonyms,
    "names": have_other_names,
    "spans": have_other_spans,
    "order": have_other_order,
    "scope": have_other_scope,
    "quantities": have_other_quantities,
    "things": have_other_things,
    "condition": is_condition,
}
