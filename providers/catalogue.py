"""The models we know by name: who serves them, under which name, how long they read and write.

A caller's name is resolved without I/O and without fuzziness: names that the table holds, explicit ``provider/model``
names, OpenRouter's own ids, and, for models that came out after the table was written, the beginnings that OpenAI and
Anthropic give their names.

Failure behavior: a malformed table raises ValueError when it is loaded; a name that nobody serves resolves to ().
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Literal, cast, get_args

import msgspec

from providers.rows import Words, read_rows

# "responses" names models that their provider serves on /v1/responses alone.
Kind = Literal["chat", "completions", "embeddings", "responses"]

OPENROUTER = "openrouter"

# What a model released tomorrow will be called. Sources: https://platform.openai.com/docs/models and
# https://platform.claude.com/docs/en/about-claude/models/overview (2026-11-21).
FAMILIES = (
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1-", "openai"),
    ("o3-", "openai"),
    ("o4-", "openai"),
    ("text-embedding-", "openai"),
    ("davinci-", "openai"),
    ("babbage-", "openai"),
    ("ft:", "openai"),
    ("claude-", "anthropic"),
)
# Whose models OpenRouter lists under the vendor's name. Source: https://openrouter.ai/models (2026-11-21).
OPENROUTER_VENDORS = frozenset(
    "amazon anthropic cohere deepseek google meta-llama microsoft minimax mistralai moonshotai nousresearch nvidia"
    " openai openrouter perplexity qwen x-ai xiaomi z-ai".split()
)

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_PATH_NAME = re.compile(r"~?[A-Za-z0-9._:@-]+(?:/[A-Za-z0-9._:@-]+)*")
_LONGEST_NAME = 200
_DATED = re.compile(r"(20[0-9]{2})-?([01][0-9])-?([0-3][0-9])(?![0-9])")


class Match(msgspec.Struct, frozen=True):
    """Who can answer for a name, and the name to ask it for."""

    provider: str
    model: str


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One name at one provider. None: not known."""

    provider: str
    # The name that callers use.
    name: str
    # The provider's name for it.
    model: str
    aliases: tuple[str, ...] = ()
    kind: Kind
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    # Its id at OpenRouter; empty: not there.
    openrouter: str = ""
    # The provider has ended it or told when it will.
    deprecated: bool = False
    # The day of the end; empty: none told.
    shutdown: str = ""


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``GET /v1/models``. ``created`` is in seconds since the epoch, as OpenAI has it."""

    id: str
    provider: str
    model: str
    kind: Kind
    created: int
    owned_by: str
    deprecated: bool


class Catalogue:
    """The table of models. Immutable after it is built; every question is answered from dicts."""

    def __init__(self, rows: Iterable[ModelRow], as_of: str) -> None:
        """Index the rows; raises ValueError where two rows of a provider claim one name."""
        self._as_of = as_of
        self._rows: dict[str, dict[str, ModelRow]] = {}
        for row in rows:
            for name in (row.name, *row.aliases):
                homes = self._rows.setdefault(name, {})
                if row.provider in homes:
                    raise ValueError(f"catalogue: two rows of {row.provider} are named {name!r}")
                homes[row.provider] = row
        by_model: dict[tuple[str, str], ModelRow] = {}
        for homes in self._rows.values():
            for row in homes.values():
                # A row of its own tells more of a model than one that only leads to it.
                if row.name == row.model or (row.provider, row.model) not in by_model:
                    by_model[row.provider, row.model] = row
        self._by_model = by_model

    def resolve(self, name: str, available: frozenset[str]) -> tuple[Match, ...]:
        """Return who answers for a name, the first choice first; () when nobody does.

        In order: a name of the table at an available home, an explicit ``provider/model``, the table's OpenRouter id, a
        family's home, and OpenRouter's own ``vendor/model`` ids. The table comes before the prefix because Groq's own
        names look like one (``openai/gpt-oss-120b``). A match implies no fallback: routes with several targets are the
        operator's to configure.
        """
        homes = self._rows.get(name, {})
        for provider, row in homes.items():
            if provider in available:
                return (Match(provider, row.model),)
        if found := self._automatic(homes, available) if "/" in name else ():
            return found
        prefix, slash, rest = name.partition("/")
        if slash and prefix in available:
            return self._explicit(prefix, rest, name)
        if homes:
            return self._automatic(homes, available)
        if slash:
            vendor = prefix.removeprefix("~")
            known = OPENROUTER in available and vendor in OPENROUTER_VENDORS and _is_path(name)
            return (Match(OPENROUTER, name),) if known else ()
        return _by_family(name, available)

    def upstream(self, provider: str, name: str) -> str:
        """Return the provider's name for a model, ``name`` itself where the table has no other."""
        row = self._rows.get(name, {}).get(provider)
        return name if row is None else row.model

    def row(self, provider: str, model: str) -> ModelRow | None:
        """Return what is known of a provider's model (the upstream's name)."""
        return self._by_model.get((provider, model))

    def max_output_tokens(self, provider: str, model: str) -> int | None:
        """Return the most that a model writes in one reply, None when that is not known."""
        row = self._by_model.get((provider, model))
        return None if row is None else row.max_output_tokens

    def provider_models(self, provider: str) -> tuple[str, ...]:
        """Return every name under which the provider itself serves a model, sorted."""
        return tuple(sorted({model for owner, model in self._by_model if owner == provider}))

    def names(self, available: frozenset[str]) -> list[ModelCard]:
        """List what can be called by name, at its home or through OpenRouter, sorted by id.

        Models that only /v1/responses serves are left out.
        """
        cards: list[ModelCard] = []
        for name, homes in sorted(self._rows.items()):
            match = self.resolve(name, available)
            row = next((row for provider, row in homes.items() if match and provider == match[0].provider), None)
            row = row or next(iter(homes.values()))
            if match and row.kind != "responses":
                cards.append(self._card(name, match[0], row))
        return cards

    def _card(self, name: str, match: Match, row: ModelRow) -> ModelCard:
        """Describe one callable name."""
        return ModelCard(
            id=name,
            provider=match.provider,
            model=match.model,
            kind=row.kind,
            created=_created_s(match.model, self._as_of),
            owned_by=row.provider,
            deprecated=row.deprecated and row.provider == match.provider,
        )

    def _explicit(self, provider: str, rest: str, name: str) -> tuple[Match, ...]:
        """Resolve ``provider/rest`` at exactly that provider."""
        if not _is_path(rest):
            return ()
        if provider != OPENROUTER:
            return (Match(provider, self.upstream(provider, rest)),)
        if "/" in rest:
            return (Match(OPENROUTER, rest),)
        # openrouter/gpt-4o is a name of the table; openrouter/auto is OpenRouter's own id in full.
        known = self._automatic(self._rows.get(rest, {}), frozenset({OPENROUTER}))
        return known or (Match(OPENROUTER, name),)

    def _automatic(self, homes: Mapping[str, ModelRow], available: frozenset[str]) -> tuple[Match, ...]:
        """Resolve a known name whose home has no key: through OpenRouter, where it is there."""
        found = next((row.openrouter for row in homes.values() if row.openrouter), "")
        return (Match(OPENROUTER, found),) if found and OPENROUTER in available else ()


def _is_path(name: str) -> bool:
    """Tell whether a name is well formed for a provider that allows slashes."""
    return len(name) <= _LONGEST_NAME and _PATH_NAME.fullmatch(name) is not None


def _by_family(name: str, available: frozenset[str]) -> tuple[Match, ...]:
    """Resolve a name that the table does not know by its beginning."""
    if _PLAIN_NAME.fullmatch(name) is None:
        return ()
    home = next((home for beginning, home in FAMILIES if name.startswith(beginning)), "")
    return (Match(home, name),) if home in available else ()


def _created_s(model: str, as_of: str) -> int:
    """Return the date in a model's name, else the table's, in seconds since the epoch."""
    dated = _DATED.search(model)
    day = date.fromisoformat(as_of)
    if dated is not None:
        try:
            day = date(int(dated[1]), int(dated[2]), int(dated[3]))
        except ValueError:
            day = date.fromisoformat(as_of)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def closest(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """Return up to ``n`` names that look like ``name``, the likeliest first; reads no more than 64 characters of it."""
    bounded = name[:64].lower()
    by_lower = {candidate.lower(): candidate for candidate in names}
    return [by_lower[match] for match in difflib.get_close_matches(bounded, by_lower, n=n, cutoff=0.6)]


def read_catalogue(text: str) -> Catalogue:
    """Read the table: one TOML table a provider, whose ``rows`` are lines of ``name key=value …``.

    Keys: ``kind`` (chat where it is missing), ``in`` and ``out`` (tokens), ``model`` (the provider's name, where it
    differs), ``alias`` (a,b,c), ``openrouter``, ``shutdown``, a bare ``retired``. Raises ValueError naming the row.
    """
    rows: list[ModelRow] = []
    as_of = ""
    for provider, table in tomllib.loads(text).items():
        as_of = max(as_of, table["as_of"])
        rows.extend(_read_row(provider, name, words) for name, words in read_rows(table["rows"]))
    return Catalogue(rows, as_of)


def _read_row(provider: str, name: str, words: Words) -> ModelRow:
    """Read one row of the table."""
    values = dict(words)
    unknown = values.keys() - {"kind", "in", "out", "model", "alias", "openrouter", "shutdown", "retired"}
    kind = values.get("kind", "chat")
    if unknown or kind not in get_args(Kind):
        raise ValueError(f"catalogue: {provider}/{name}: unknown {sorted(unknown) or kind!r}")
    return ModelRow(
        provider=provider,
        name=name,
        model=values.get("model", name),
        aliases=tuple(values["alias"].split(",")) if "alias" in values else (),
        kind=cast(Kind, kind),
        max_input_tokens=int(values["in"]) if "in" in values else None,
        max_output_tokens=int(values["out"]) if "out" in values else None,
        openrouter=values.get("openrouter", ""),
        deprecated="retired" in values or "shutdown" in values,
        shutdown=values.get("shutdown", ""),
    )


def load_catalogue() -> Catalogue:
    """Load the bundled table."""
    return read_catalogue(files("providers").joinpath("catalogue.toml").read_text(encoding="utf-8"))
