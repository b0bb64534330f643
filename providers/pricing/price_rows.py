"""Prices as they are written: a row of the bundled table or of a configuration, and how the bundled table is read.

Failure behavior: a line that is not a price raises ValueError and names provider and model.
"""

import tomllib

import msgspec

from providers.rows import Words, read_rows

SINCE_EVER = "1970-01-01"
ANY_MODEL = "*"
_SHORT_KEYS = {"from": "effective_from", "service": "service_tier"}


class TierRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A long-context tier as it is written: decimal strings in USD per 1,000,000 tokens."""

    above_input_tokens: int
    input: str | None = None
    output: str | None = None
    cached_input: str | None = None
    cache_write: str | None = None
    cache_write_1h: str | None = None
    audio_input: str | None = None
    audio_output: str | None = None
    image_input: str | None = None
    image_output: str | None = None


class PriceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price as it is written, in the bundled table or in ``[[prices]]`` of a configuration.

    Decimal strings in USD per 1,000,000 tokens, ``per_request`` in USD a request. ``model`` is the upstream's name;
    ``*`` stands for every model of the provider that no other row names. ``names`` are further names of the model.
    """

    provider: str
    model: str
    # The day (UTC) from which it holds.
    effective_from: str = SINCE_EVER
    input: str | None = None
    output: str | None = None
    cached_input: str | None = None
    cache_write: str | None = None
    cache_write_1h: str | None = None
    audio_input: str | None = None
    audio_output: str | None = None
    image_input: str | None = None
    image_output: str | None = None
    per_request: str | None = None
    tiers: tuple[TierRow, ...] = ()
    # The provider's service tier ("flex", "priority"); empty: the standard one.
    service_tier: str = ""
    names: tuple[str, ...] = ()
    # Costs nothing; only such a row of the bundled table may hold a 0.
    free: bool = False
    source: str = ""
    as_of: str = ""


def read_bundle(text: str) -> list[PriceRow]:
    """Read the bundled table: a TOML table a provider, whose ``rows`` are lines of ``model key=value …``.

    Keys are those of ``PriceRow``, but ``from`` for effective_from, ``service`` for service_tier, a bare ``free``, and
    ``tier=272000,input=5,output=22.5`` (repeatable) for a long-context tier. Raises ValueError naming the row.
    """
    bundle: list[PriceRow] = []
    for provider, table in tomllib.loads(text).items():
        shared = {"provider": provider, "source": table["source"], "as_of": table["as_of"]}
        for model, words in read_rows(table["rows"]):
            try:
                bundle.append(msgspec.convert(shared | {"model": model} | _read_words(words), PriceRow))
            except ValueError as error:
                raise ValueError(f"{provider}/{model} of the bundled table: {error}") from None
    return bundle


def _read_words(words: Words) -> dict[str, object]:
    """Read a line's words as the fields of ``PriceRow``."""
    fields: dict[str, object] = {}
    tiers: list[dict[str, object]] = []
    for key, value in words:
        if key == "tier":
            above, *rates = value.split(",")
            tier: dict[str, object] = {"above_input_tokens": int(above)}
            tier.update((field, rate) for field, _, rate in (word.partition("=") for word in rates))
            tiers.append(tier)
        elif key == "names":
            fields["names"] = value.split(",")
        elif key == "free":
            fields["free"] = True
        else:
            fields[_SHORT_KEYS.get(key, key)] = value
    return fields | {"tiers": tiers} if tiers else fields
