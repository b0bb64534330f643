"""What small words and signs say: guards for two questions of the same content that ask for different things of it.

Most hold where nothing else differs, so that they cost few hits: of 3,460 right pairs with
a score above 0.8 that the benchmark's stream offers they forbid 11, and 80 of 176 made-up traps that nothing else sees.
"""

from itertools import pairwise

from cache.semantic.profile import Profile, stem
from cache.semantic.words import DAY_HALVES, SHORT_UNITS, STOP


def _read(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ALL = _read("all every each everyone everybody both")
_ALWAYS = _ALL | _read("always everything whole entire entirely")
_SOME = _read("some several few part sometimes partly any either anyone anybody anything")
_TENSES = {"past": _read("was were did had"), "future": _read("will shall"), "present": _read("is are am do does")}
_MUST = _read("must should need needs ought required mandatory obliged")
_MAY = _read("can may could allowed able get permitted")
_TOWARDS, _INSIDE = _read("to into onto toward towards for"), _read("in into inside")
# Words that say how much, where to, or whether one may or has to: not what is asked about.
_COLOURS = frozenset(map(stem, _ALWAYS | _SOME | _MUST | _MAY | _TOWARDS | _INSIDE | {"out"}))
# Questions that have answers of different kinds; "how" and "what" may stand for most of them.
_KINDS = _read("who where when why")
# Those whose answer changes with time, and is asked for in the tense that is meant.
_TIMED = _read("who yes")
# Behind these "me" is whom the answer is for.
_GIVING = frozenset(
    map(stem, "tell give show help let explain teach send write make get find recommend suggest bring buy ask".split())
)
# What makes a number no other one: "7am" is the 7 of "seven in the morning".
_MEASURES = DAY_HALVES | SHORT_UNITS.keys()
# Endings of chemistry, by which substances differ: nitrite and nitrate, methane and methanol.
_ENDINGS = tuple("ate ite ide ine ane ene yne anol enol ol one ium ia".split())
_ROOT = 4
_FEW = 2
_PREFIXES = tuple(
    tuple(pair.split())
    for pair in "hypo hyper|tachy brady|macro micro|pre post|intra inter|endo exo|homo hetero|mono poly|uni multi|"
    "over under|pro anti|in ex|in out|up down".split("|")
)


def ask_for_another_kind(left: Profile, right: Profile) -> bool:
    """Tell whether one asks who and the other where, when or why."""
    return left.asks != right.asks and left.asks in _KINDS and right.asks in _KINDS


def have_other_extent(left: Profile, right: Profile) -> bool:
    """Tell whether one text says "all" and the other some, or nothing; "what are all" asks no more than "what are"."""
    if left.asks == right.asks == "yes" or not (left.raw.isdisjoint(_SOME) and right.raw.isdisjoint(_SOME)):
        return left.raw.isdisjoint(_ALWAYS) != right.raw.isdisjoint(_ALWAYS)
    return "what" not in (left.asks, right.asks) and left.raw.isdisjoint(_ALL) != right.raw.isdisjoint(_ALL)


def have_other_tense(left: Profile, right: Profile) -> bool:
    """Tell whether one asks who or whether somebody was, and the other who or whether somebody is or will be."""
    if left.asks != right.asks or left.asks not in _TIMED:
        return False
    tenses = {_tell_tense(left), _tell_tense(right)}
    # What will be and what is are asked for alike, but for who it is.
    return len(tenses) > 1 and "" not in tenses and (left.asks == "who" or "past" in tenses)


def have_other_duty(left: Profile, right: Profile) -> bool:
    """Tell whether one asks what has to be and the other what may be."""
    if left.asks != "yes" or right.asks != "yes":
        return False
    return {_tell_duty(left), _tell_duty(right)} == {"must", "may"}


def have_other_direction(left: Profile, right: Profile) -> bool:
    """Tell whether one text says "from" or "out" where the other says "to" or "in"."""
    for away, back in (("from", _TOWARDS), ("out", _INSIDE)):
        if (away in left.raw) != (away in right.raw):
            leaving, coming = (left, right) if away in left.raw else (right, left)
            return sum(word in back for word in coming.words) > sum(word in back for word in leaving.words)
    return False


def have_other_roles(left: Profile, right: Profile) -> bool:
    """Tell whether I do it in one text and have it done to me in the other, or who did it and whom it was done to."""
    if left.asks == right.asks == "who" and _names_doer(left) != _names_doer(right):
        return True
    return _is_mine(left) != _is_mine(right) and ("you" in left.raw) == ("you" in right.raw)


def have_other_link(left: Profile, right: Profile) -> bool:
    """Tell whether one text says "and" and the other "or"."""
    return _tell_link(left) * _tell_link(right) < 0


def have_other_forms(left: Profile, right: Profile) -> bool:
    """Tell whether two words differ by what chemistry or medicine tells things apart by: an ending, or a prefix."""
    only_left, only_right = left.raw - right.raw, right.raw - left.raw
    if _find_roots(only_left) & _find_roots(only_right):
        return True
    return any(
        _are_turned(only_left, only_right, *pair) or _are_turned(only_right, only_left, *pair) for pair in _PREFIXES
    )


def have_other_signs(left: Profile, right: Profile) -> bool:
    """Tell whether code, formulas or pictures are made with other marks."""
    return bool(left.marks and right.marks) and left.marks != right.marks


def have_other_material(left: Profile, right: Profile) -> bool:
    """Tell whether what is to be worked on is another text."""
    return bool(left.material and right.material) and left.material != right.material


def have_other_version(left: Profile, right: Profile) -> bool:
    """Tell whether one text has a number with a letter, as "4o", where the other has the number alone."""
    return _has_bare(left, right) or _has_bare(right, left)


def are_other_orders(left: Profile, right: Profile) -> bool:
    """Tell whether both are a word or two, as "Continue" and "Stop": their sense lies in what was said before."""
    return left.words != right.words and max(len(left.words), len(right.words)) <= _FEW


def find_small(left: Profile, right: Profile) -> tuple[str, ...]:
    """Return the names of the guards here that forbid the pair."""
    found = [name for name, forbids in ALWAYS.items() if forbids(left, right)]
    if _find_kernel(left) == _find_kernel(right):
        found += [name for name, forbids in SAME_CONTENT.items() if forbids(left, right)]
    return tuple(found)


def _find_kernel(text: Profile) -> frozenset[str]:
    return frozenset(text.content) - _COLOURS


def _tell_tense(text: Profile) -> str:
    return next((tense for tense, words in _TENSES.items() if not text.raw.isdisjoint(words)), "")


def _tell_duty(text: Profile) -> str:
    must, may = not text.raw.isdisjoint(_MUST), not text.raw.isdisjoint(_MAY)
    return "" if must == may else "must" if must else "may"


def _tell_link(text: Profile) -> int:
    return ("and" in text.raw) - ("or" in text.raw)


def _names_doer(text: Profile) -> bool:
    content = frozenset(text.content)
    return any(word == "by" and behind in content for word, behind in pairwise(text.words))


def _is_mine(text: Profile) -> bool:
    """Tell whether something is done to me."""
    return any(behind == "me" and word not in STOP and word not in _GIVING for word, behind in pairwise(text.words))


def _find_roots(words: frozenset[str]) -> set[str]:
    """Return what is left of the words without the endings of substances."""
    roots = [
        word.removesuffix(ending)
        for word in words
        if word.endswith(_ENDINGS)
        for ending in _ENDINGS
        if word.endswith(ending)
    ]
    return {root for root in roots if len(root) >= _ROOT}


def _are_turned(words: frozenset[str], others: frozenset[str], prefix: str, opposite: str) -> bool:
    return any(
        opposite + word.removeprefix(prefix) in others
        for word in words
        if word.startswith(prefix) and len(word) - len(prefix) >= _ROOT
    )


def _has_bare(text: Profile, other: Profile) -> bool:
    """Tell whether a number with letters that are no unit stands by itself in the other text."""
    return any(
        name.startswith(number) and name.removeprefix(number) not in _MEASURES
        for name in text.names - other.names
        if name[0].isdigit() and name[-1].isalpha()
        for number in text.numbers
        if number in other.numbers
    )


ALWAYS = {
    "forms": have_other_forms,
    "signs": have_other_signs,
    "material": have_other_material,
    "version": have_other_version,
    "brief": are_other_orders,
}
SAME_CONTENT = {
    "kind": ask_for_another_kind,
    "extent": have_other_extent,
    "tense": have_other_tense,
    "duty": have_other_duty,
    "direction": have_other_direction,
    "roles": have_other_roles,
    "link": have_other_link,
}
