"""What a question is made of: words, numbers, units, dates, names, quotes, negation and order, read once a text."""

import re

import msgspec

from cache.semantic.words import (
    ANSWERS,
    DATES,
    DAY_HALVES,
    DOUBTFUL_MONTHS,
    NEGATIONS,
    NUMBER_WORDS,
    PERIODS,
    RELATIVES,
    ROMAN_NUMBERS,
    SHORT_UNITS,
    STOP,
    TASKS,
    UNITS,
)

# Letters that a stem keeps.
_STEM = 3

MAX_WORDS = 256
MAX_CHARACTERS = 2_048

# A letter with signs behind it is a name: C++, C#, F#.
_TOKENS = re.compile(
    r"\b[A-Za-z](?:\+\+|#)(?!\w)|[^\W_]+(?:['\u2019][^\W\d_]+)?(?:[.,:/][0-9]+)*|[$€£¥%°]|[+*/^=<>-]", re.UNICODE
)
_SIGNS = frozenset("+-*/^=<>")
# Words with letters of another script than the Latin one.
_FOREIGN = re.compile(r"[^\W\d_]*[^\W\d_\u0000-\u024f\u1e00-\u1eff][^\W\d_]*")
_SPANS = re.compile(
    r"`[^`]+`|\"[^\"]{1,200}\"|“[^”]{1,200}”|(?<!\w)'[^']{1,200}'(?!\w)|https?://\S+|[\w.+-]+@[\w-]+\.[\w.]+"
    r"|\b\w+(?:_\w+)+\b|\b[A-Za-z]\w*(?:\.\w+)+\(?\)?|\b\w+\(\)|(?<!\S)--?[A-Za-z][\w-]*|[/\\]\w+[/\\]\S+"
)
# Signs that only code, formulas and pictures have; then every mark counts. The name C++ is none of them.
_CODE = re.compile(
    r"[=<>|^~\\{}\[\]*`]|(?<![Cc])\+\+|--|&&|!!|\?[.?]|(?<!\w)[!&](?=\w)|\$(?=[^\d\s])|(?<=\s)\+(?=\s)|(?<=\w)\+(?=\d)"
    r"|[\u2190-\u23ff\u25a0-\u2bff\U0001f000-\U0001faff]"
)
# A mark, or "++" with its variable: "i++" is not "++i".
_MARK = re.compile(r"[A-Za-z]?(?:\+\+|--)[A-Za-z]?|[^\w\s'\"\u2018-\u201d]")
# A task, a colon, and what it is about.
_TASK = re.compile(r"\s*(\w+)[^:\n]{0,60}:\s+(.+)", re.DOTALL)
_NUMBER = re.compile(r"([0-9][0-9.,:/]*)([^\W\d_]*)$", re.UNICODE)
_PLAIN = re.compile(r"[0-9]{1,3}(,[0-9]{2,3})+(\.[0-9]+)?$")
_SUFFIXES = (
    "ations",
    "ation",
    "ingly",
    "ments",
    "ment",
    "ings",
    "ness",
    "ies",
    "ing",
    "edly",
    "ied",
    "ed",
    "es",
    "ly",
    "s",
)
_MAGNITUDES = {"k": 1_000, "m": 1_000_000, "mn": 1_000_000, "bn": 1_000_000_000, "b": 1_000_000_000}
_QUESTIONS = {
    "what": "what", "whats": "what", "which": "what", "who": "who", "whom": "who", "whose": "who", "where": "where",
    "when": "when", "why": "why", "how": "how", "is": "yes", "are": "yes", "was": "yes", "were": "yes", "do": "yes",
    "does": "yes", "did": "yes", "can": "yes", "could": "yes", "should": "yes", "will": "yes", "would": "yes",
    "has": "yes", "have": "yes", "had": "yes", "am": "yes", "may": "yes", "must": "yes",
}  # fmt: skip
_HOW = {"many": "many", "much": "many", "long": "long", "often": "often", "far": "far", "old": "old", "come": "why"}
_TENSES = {
    "was": "past", "were": "past", "did": "past", "had": "past", "used": "past", "ago": "past", "will": "future",
    "would": "if", "going": "future", "become": "become", "becoming": "become", "became": "past", "should": "should",
    "must": "should", "could": "if", "if": "if",
}  # fmt: skip


class Profile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One text as the guards see it."""

    # Every word in order, in lower case and stemmed; at most MAX_WORDS.
    words: tuple[str, ...]
    # The same without the words that carry no content.
    content: tuple[str, ...]
    # The words but for articles, possessives and marks.
    plain: tuple[str, ...]
    # As written, in lower case, for antonyms.
    raw: frozenset[str]
    # In order: what stands between two numbers or letters by themselves, as "+" and "<".
    signs: tuple[str, ...]
    # In order: numbers in one spelling ("1,000" and "1k" are "1000").
    numbers: tuple[str, ...]
    units: tuple[str, ...]
    dates: tuple[str, ...]
    # "last", "this" or "next" where a time stands behind it.
    relatives: tuple[str, ...]
    # Words in another script than the Latin one, which neither the vectors nor the score were made for.
    foreign: tuple[str, ...]
    # Stems of words written with a capital inside a sentence, or with digits in them.
    names: frozenset[str]
    # In order: every mark of a text that has signs of code, a formula or a picture; none of any other.
    marks: tuple[str, ...]
    # The words of what a task is to be done with, as "hello" in "Translate: hello".
    material: tuple[str, ...]
    # The words of each quote, piece of code and address.
    spans: tuple[frozenset[str], ...]
    # Numbers with the unit behind them, as "150 mile".
    amounts: frozenset[str]
    negations: int
    # "yes" or "no", where it begins so.
    says: str
    # What is asked: who, where, when, why, how, many, what, yes …
    asks: str
    tenses: frozenset[str]


def stem(word: str) -> str:
    """Return the word without a common English ending.

    Not remembered, for a memory shared by all would tell by its time which words other tenants asked with.
    """
    if word.endswith(_SUFFIXES) and not word.endswith("ss"):
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= _STEM:
                word = word[: -len(suffix)]
                if suffix in ("ies", "ied"):
                    return word + "i"
                break
    if len(word) > _STEM and word[-1] in "ey":
        word = word[:-1] + ("i" if word[-1] == "y" else "")
    if len(word) > _STEM and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word


# Words that only point at what follows them, as stems.
_ARTICLES = frozenset(map(stem, "a an the some any my your our his her their its this that these those".split()))


def read_number(token: str) -> tuple[str, str] | None:
    """Return a number in one spelling and the letters behind it, as ("1000", "km"); None for a word."""
    match = _NUMBER.match(token)
    if match is None:
        return None
    digits, tail = match[1].rstrip(".,:/"), match[2].lower()
    if _PLAIN.match(digits):
        digits = digits.replace(",", "")
    whole, dot, fraction = digits.partition(".")
    if dot and whole.isdigit() and not fraction.strip("0"):
        # Not of "2.10", which is another version than "2.1".
        digits = whole
    if tail in _MAGNITUDES and digits.replace(".", "", 1).isdigit():
        return f"{float(digits) * _MAGNITUDES[tail]:g}", ""
    if tail in ("st", "nd", "rd", "th"):
        return "#" + digits, ""
    return (digits.lstrip("0") or "0"), tail


def profile(text: str) -> Profile:
    """Read a text; what lies beyond MAX_CHARACTERS is one span, so that two long texts differ by their ends too."""
    spans = [frozenset(re.findall(r"\w+", match.lower())) for match in _SPANS.findall(text[:MAX_CHARACTERS])]
    if len(text) > MAX_CHARACTERS:
        spans.append(frozenset((text[MAX_CHARACTERS:],)))
    reading = _Reading()
    previous_end, opens = 0, True
    for match in _TOKENS.finditer(text[:MAX_CHARACTERS]):
        gap = text[previous_end : match.start()]
        opens = opens or any(mark in gap for mark in ".!?:\n")
        if match[0] in _SIGNS:
            reading.take_sign(match[0], before=text[match.start() - 1 : match.start()], behind=text[match.end() :][:1])
        reading.take(match[0], opens=opens)
        previous_end, opens = match.end(), False
        if len(reading.words) >= MAX_WORDS:
            spans.append(frozenset((text[previous_end:MAX_CHARACTERS],)))
            break
    return reading.finish(tuple(spans), _read_marks(text), _read_material(text))


def _read_marks(text: str) -> tuple[str, ...]:
    if _CODE.search(text) is None:
        return ()
    return tuple(_MARK.findall(text[:MAX_CHARACTERS].rstrip(" .?!*\n")))


def _read_material(text: str) -> tuple[str, ...]:
    task = _TASK.match(text)
    if task is None or task[1].lower() not in TASKS:
        return ()
    return tuple(re.findall(r"\w+", task[2][:MAX_CHARACTERS].lower()))


class _Reading:
    """The words of a text, one after another."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.content: list[str] = []
        self.raw: list[str] = []
        self.numbers: list[str] = []
        self.units: list[str] = []
        self.dates: list[str] = []
        self.names: list[str] = []
        self.amounts: list[str] = []
        self.signs: list[str] = []
        self.relatives: list[str] = []
        self.foreign: list[str] = []
        self.negations = 0
        # What stood before: a number, a word that says when, and the minus of a number.
        self._number = ""
        self._relative = ""
        self._minus = ""
        self._is_behind_name = False

    def take(self, token: str, *, opens: bool) -> None:
        """Take the next word; ``opens``: it begins a sentence, where a capital says nothing."""
        word, is_negated = self._open(token.lower())
        self.raw.append(word)
        number = read_number(word)
        if number is not None:
            self._take_number(*number)
            return
        before, self._number = self._number, NUMBER_WORDS.get(word, "")
        self._take_time(word, has_number=bool(before))
        if not word.isascii() and _FOREIGN.fullmatch(word):
            self.foreign.append(word)
        stemmed = stem(word)
        self.words.append(stemmed)
        if is_negated:
            # Behind its verb, as where it is written out.
            self.words.append("not")
        self._take_measure(word, token, before=before, opens=opens)
        if word in NEGATIONS:
            self.negations += 1
        elif word not in STOP:
            self.content.append(stemmed)
        self._take_name(word, token, stemmed, opens=opens)

    def _take_measure(self, word: str, token: str, *, before: str, opens: bool) -> None:
        """Take what a word counts, or measures, or when; ``before`` is the number in front of it."""
        is_written_as_name = token[0].isupper() and not opens
        if word in NUMBER_WORDS:
            self.numbers.append(NUMBER_WORDS[word])
        elif word in UNITS:
            self.units.append(UNITS[word])
            if before:
                self.amounts.append(f"{before} {UNITS[word]}")
        elif word in DATES:
            self.dates.append(DATES[word])
        elif word in DOUBTFUL_MONTHS and (is_written_as_name or self.raw[-2:-1] == ["in"]):
            self.dates.append(word)
        elif token in ROMAN_NUMBERS or (word == "i" and self._is_behind_name):
            self.numbers.append(ROMAN_NUMBERS.get(token, "1"))

    def _take_name(self, word: str, token: str, stemmed: str, *, opens: bool) -> None:
        """Take a word that is written as a name."""
        named = token[0].isupper() and not opens and word not in STOP and word != "i"
        # "iPad", "easyJet": a capital inside a word makes it a name, wherever it stands.
        named = named or (token[0].islower() and any(map(str.isupper, token)))
        if named or (len(token) > 1 and token.isupper()) or (not token.isalpha() and any(map(str.isdigit, token))):
            self.names.append(stemmed)
        elif word == "a" and token.isupper() and not opens:
            # The letter: the article is the same word in small letters.
            self.names.append(token)
        self._is_behind_name = named

    def take_sign(self, sign: str, *, before: str, behind: str) -> None:
        """Take a sign between two terms, or a number's minus; the characters around it tell a hyphen from them."""
        if sign == "-" and behind.isdigit() and not before.strip(" \n\t("):
            self._minus = sign
        elif self.raw and (self.raw[-1][-1].isdigit() or (len(self.raw[-1]) == 1 and (sign != "-" or before == " "))):
            self.signs.append(sign)

    def _take_time(self, word: str, *, has_number: bool) -> None:
        """Take which half of the day a number means, and which week "last" does."""
        if has_number and word in DAY_HALVES:
            self.dates.append(word)
        relative, self._relative = self._relative, RELATIVES.get(word, "")
        if relative and (UNITS.get(word, word) in PERIODS or word in DATES):
            self.relatives.append(relative)

    def _open(self, word: str) -> tuple[str, bool]:
        """Return a word without what an apostrophe joins to it, and whether that is a "not", which counts as one."""
        if "'" not in word and "\u2019" not in word:
            return word, False
        word = word.replace("\u2019", "'")
        if word.endswith("n't"):
            self.negations += 1
            return {"won't": "will", "can't": "can", "shan't": "shall"}.get(word, word[:-3]), True
        return word.split("'", 1)[0], False

    def _take_number(self, digits: str, tail: str) -> None:
        digits, self._minus = self._minus + digits, ""
        self.numbers.append(digits)
        self.words.append(digits)
        self.content.append(digits)
        self._number = "" if tail else digits
        if tail in UNITS:
            self.amounts.append(f"{digits} {UNITS[tail]}")
            self.units.append(UNITS[tail])
        elif tail:
            if tail in SHORT_UNITS:
                self.amounts.append(f"{digits} {SHORT_UNITS[tail]}")
            self.content.append(digits + tail)
            self.names.append(digits + tail)

    def finish(self, spans: tuple[frozenset[str], ...], marks: tuple[str, ...], material: tuple[str, ...]) -> Profile:
        """Put together what was read."""
        asks = next((_QUESTIONS[word] for word in self.raw if word in _QUESTIONS), "")
        if asks == "how":
            after = self.raw[self.raw.index("how") + 1 :][:1]
            asks = _HOW.get(after[0], "how") if after else "how"
        return Profile(
            words=tuple(self.words),
            content=tuple(self.content),
            plain=tuple(word for word in self.words if word not in _ARTICLES and word[0].isalnum()),
            raw=frozenset(self.raw),
            signs=tuple(self.signs),
            numbers=tuple(self.numbers),
            units=tuple(self.units),
            dates=tuple(self.dates),
            relatives=tuple(self.relatives),
            foreign=tuple(self.foreign),
            marks=marks,
            material=material,
            names=frozenset(self.names),
            spans=spans,
            amounts=frozenset(self.amounts),
            negations=self.negations,
            says=ANSWERS.get(self.raw[0], "") if self.raw else "",
            asks=asks,
            tenses=frozenset(_TENSES[word] for word in self.raw if word in _TENSES),
        )
