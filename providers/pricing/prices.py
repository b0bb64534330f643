"""Effective-dated prices: who charges what for which kind of token from which day on, and what a call costs.

Rates are integers in attodollars (1e-18 USD) per token, so that a price of up to twelve decimals per million tokens is
exact; costs are integers in picodollars (1e-12 USD). The only rounding is one per call, upwards, and only where a price
is finer than a picodollar per token.

A kind of token without a rate of its own takes its neighbour's, never 0: cached input and cache writes that of input,
one-hour writes that of writes, audio and images that of input or output, output that of input. Anthropic's writes have
rates of their own, 1.25 times input for five minutes and twice input for an hour
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching, 2026-11-21).

Failure behavior: a malformed row raises ValueError and names the row and the field. A model without a row has no price:
``lookup`` answers None and the caller decides; nothing here ever invents a 0.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from importlib.resources import files

import msgspec

from providers.chat import Usage
from providers.pricing.price_rows import ANY_MODEL, PriceRow, TierRow, read_bundle

_DECIMAL = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,12}))?")
_USD_DECIMALS = 12
# USD per 1e6 tokens, in attodollars per token: 1e18 / 1e6.
_ATTO_DECIMALS = 12
_ATTO_PER_PICO = 1_000_000
# A million USD: no call costs more, and sums of rows stay within what a database counts.
MAX_COST_PUSD = 10**18
_NS_PER_S = 1_000_000_000


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Attodollars per token of each disjoint bucket of ``Usage``."""

    input_atto: int
    cached_input_atto: int
    cache_write_atto: int
    cache_write_1h_atto: int
    audio_input_atto: int
    image_input_atto: int
    output_atto: int
    audio_output_atto: int
    image_output_atto: int


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of a whole call whose input is longer than ``above_input_tokens``."""

    above_input_tokens: int
    rates: Rates


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What one model costs from one day on. ``price_id`` names this content and no other."""

    price_id: str
    provider: str
    model: str
    service_tier: str
    effective_from_ns: int
    rates: Rates
    # In ascending order of above_input_tokens.
    tiers: tuple[Tier, ...]
    per_request_pusd: int
    is_operator: bool
    is_free: bool


def parse_decimal_usd(text: str, scale: int) -> int:
    """Read a plain decimal of US dollars as an integer of 10**-scale dollars, exactly.

    Raises ValueError for anything but up to nine digits and up to twelve decimals (no sign, exponent, blank or NaN),
    and where a decimal other than 0 is finer than the scale.
    """
    # A float from a configuration file has lost digits already, whatever it prints.
    match = _DECIMAL.fullmatch(text) if isinstance(text, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if match is None:
        raise ValueError(f"{text!r} is not a decimal string such as '2.50', up to 9 digits and 12 decimals")
    whole, decimals = match[1], (match[2] or "").rstrip("0")
    if len(decimals) > scale:
        raise ValueError(f"{text!r} has more than {scale} decimals")
    return int(whole + decimals.ljust(scale, "0"))


def parse_usd(text: str) -> int:
    """Read a plain decimal of US dollars as picodollars; raises ValueError like ``parse_decimal_usd``."""
    return parse_decimal_usd(text, _USD_DECIMALS)


def format_usd(pusd: int) -> str:
    """Write picodollars as a plain decimal of US dollars: exact, no exponent, no needless zeros ("0", "0.000625")."""
    digits = str(abs(pusd)).zfill(_USD_DECIMALS + 1)
    text = f"{digits[:-_USD_DECIMALS]}.{digits[-_USD_DECIMALS:]}".rstrip("0").rstrip(".")
    return text if pusd >= 0 else f"-{text}"


def cost_pusd(price: Price, usage: Usage) -> int:
    """Return what a call costs, in picodollars, rounded up where the price is finer.

    A long-context tier holds for the whole call and counts every input token, cached or not. Never more than
    MAX_COST_PUSD: what comes to that is a price or a count by mistake.
    """
    rates = _rates_of(price, usage) if price.tiers else price.rates
    atto = usage.input_tokens * rates.input_atto + usage.output_tokens * rates.output_atto
    if usage.cache_read_tokens or usage.cache_write_tokens or usage.cache_write_1h_tokens:
        atto += usage.cache_read_tokens * rates.cached_input_atto + usage.cache_write_tokens * rates.cache_write_atto
        atto += usage.cache_write_1h_tokens * rates.cache_write_1h_atto
    if usage.audio_input_tokens or usage.image_input_tokens or usage.audio_output_tokens or usage.image_output_tokens:
        atto += (
            usage.audio_input_tokens * rates.audio_input_atto
            + usage.image_input_tokens * rates.image_input_atto
            + usage.audio_output_tokens * rates.audio_output_atto
            + usage.image_output_tokens * rates.image_output_atto
        )
    pusd = -(-atto // _ATTO_PER_PICO) + price.per_request_pusd
    return pusd if pusd < MAX_COST_PUSD else MAX_COST_PUSD


def prompt_saved_pusd(price: Price, usage: Usage) -> int:
    """Return what the tokens read from the provider's own cache cost less than fresh ones, rounded down."""
    rates = _rates_of(price, usage)
    pusd = usage.cache_read_tokens * max(rates.input_atto - rates.cached_input_atto, 0) // _ATTO_PER_PICO
    return min(pusd, MAX_COST_PUSD)


def _rates_of(price: Price, usage: Usage) -> Rates:
    rates = price.rates
    if price.tiers:
        total = usage.total_input_tokens
        for tier in price.tiers:
            if total > tier.above_input_tokens:
                rates = tier.rates
    return rates


# Each rate and where it comes from when the row has none, in an order that meets every source before its use.
_FALLBACKS = (
    ("input", ""),
    ("cached_input", "input"),
    ("cache_write", "input"),
    ("cache_write_1h", "cache_write"),
    ("audio_input", "input"),
    ("image_input", "input"),
    ("output", "input"),
    ("audio_output", "output"),
    ("image_output", "output"),
)


def _read_rates(row: PriceRow | TierRow, where: str, base: dict[str, int]) -> dict[str, int]:
    """Read a row's rates; what it does not tell comes from its own neighbour, else from ``base``."""
    told: dict[str, int] = {}
    for field, neighbour in _FALLBACKS:
        text: str | None = getattr(row, field)
        if text is not None:
            try:
                told[field] = parse_decimal_usd(text, _ATTO_DECIMALS)
            except ValueError as error:
                raise ValueError(f"{where}: {field}: {error}") from None
        elif neighbour in told:
            told[field] = told[neighbour]
    return {field: told.get(field, base.get(field, 0)) for field, _ in _FALLBACKS}


def _as_rates(atto: dict[str, int]) -> Rates:
    """Turn rates by field name into the value that costs are computed from."""
    return Rates(**{f"{field}_atto": value for field, value in atto.items()})


def _read_tiers(row: PriceRow, where: str, base: dict[str, int]) -> tuple[Tier, ...]:
    """Read a row's long-context tiers in ascending order."""
    tiers = [
        Tier(
            above_input_tokens=tier.above_input_tokens,
            rates=_as_rates(_read_rates(tier, f"{where}: tiers above {tier.above_input_tokens!r}", base)),
        )
        for tier in sorted(row.tiers, key=lambda tier: tier.above_input_tokens)
    ]
    bounds = [tier.above_input_tokens for tier in tiers]
    if len(set(bounds)) != len(bounds) or any(bound <= 0 for bound in bounds):
        raise ValueError(f"{where}: tiers: above_input_tokens must be positive and differ, got {bounds!r}")
    return tuple(tiers)


def _read_day(text: str, where: str) -> int:
    """Read a day as the ns of its midnight in UTC."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise ValueError(f"{where}: effective_from: {text!r} is not a day such as '2026-01-31'")
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * _NS_PER_S


def read_price(row: PriceRow, where: str, *, is_operator: bool) -> Price:
    """Turn a written row into a price; ``where`` names the row in errors.

    Raises ValueError for an empty name, no rate at all, or, in the bundled table, a 0 in a row that is not free: price
    lists write 0 for what they do not know. An operator's 0 is the operator's word.
    """
    if not row.provider or not row.model:
        raise ValueError(f"{where}: provider and model must be named, got {row.provider!r} and {row.model!r}")
    if row.input is None and row.per_request is None and not row.free:
        raise ValueError(f"{where}: input: a price is needed (or free = true)")
    atto = _read_rates(row, where, {})
    try:
        per_request_pusd = parse_usd(row.per_request or "0")
    except ValueError as error:
        raise ValueError(f"{where}: per_request: {error}") from None
    tiers = _read_tiers(row, where, atto)
    rates = _as_rates(atto)
    is_free = per_request_pusd == 0 and not any(atto.values()) and not tiers
    if row.free and not is_free:
        raise ValueError(f"{where}: free: a free row must name no price")
    if not is_operator and not row.free and 0 in atto.values():
        raise ValueError(f"{where}: {min(field for field in atto if atto[field] == 0)}: 0 in a row that is not free")
    effective_from_ns = _read_day(row.effective_from, where)
    tier_name = f"#{row.service_tier}" if row.service_tier else ""
    label = f"{row.provider}/{row.model}{tier_name}@{row.effective_from}"
    content = repr((label, sorted(atto.items()), tiers, per_request_pusd)).encode()
    return Price(
        price_id=f"{label}+{hashlib.sha256(content).hexdigest()[:8]}",
        provider=row.provider,
        model=row.model,
        service_tier=row.service_tier,
        effective_from_ns=effective_from_ns,
        rates=rates,
        tiers=tiers,
        per_request_pusd=per_request_pusd,
        is_operator=is_operator,
        is_free=is_free,
    )


# Provider, model and service tier.
_Key = tuple[str, str, str]
# The instants from which prices hold, ascending, and the prices.
_History = tuple[list[int], list[Price]]
# From when, until when (ns, not included), and the price that holds in between.
Span = tuple[int, int, Price | None]
FOREVER_NS = 1 << 63
_MAX_RECENT = 4_096


class PriceTable:
    """Every price that is known, bundled and the operator's, by provider, name and time.

    A name's bundled rows are read when it is first looked up (``check`` reads them all): of a thousand models a gateway
    calls a few, and starting must not wait for the others. Apart from that memory the table never changes.
    """

    def __init__(self, bundled: Iterable[PriceRow] = (), operator: Sequence[PriceRow] = ()) -> None:
        """Build the table; raises ValueError naming the operator's row (``prices[3]``, counted from 0) and field.

        From its first day on an operator's row hides every bundled one of that name, whatever its service tier.
        """
        self._bundled: dict[_Key, list[PriceRow]] = {}
        self._operator: dict[_Key, list[Price]] = {}
        self._histories: dict[_Key, _History] = {}
        self._recent: dict[_Key, Span] = {}
        self._written = (tuple(bundled), tuple(operator))
        for row in self._written[0]:
            for key in _keys(row):
                self._bundled.setdefault(key, []).append(row)
        for index, row in enumerate(operator):
            price = read_price(row, f"prices[{index}] ({row.provider}/{row.model})", is_operator=True)
            for key in _keys(row):
                self._operator.setdefault(key, []).append(price)
        for key in self._operator:
            self._history(key)

    def lookup(self, provider: str, model: str, at_ns: int, service_tier: str = "") -> Price | None:
        """Return the price in force at ``at_ns``, None when none is known.

        ``model`` is the upstream's name, found as it stands or as a listed further name, never by its beginning; a
        fine-tuned one (``ft:base:organisation::id``) costs what ``ft:base`` does. A service tier without a price of its
        own costs what the standard one costs.
        """
        name = (provider, model, service_tier)
        recent = self._recent.get(name)
        if recent is None or not recent[0] <= at_ns < recent[1]:
            recent = self._remember(name, at_ns)
        return recent[2]

    def lookup_span(self, provider: str, model: str, at_ns: int) -> Span:
        """As ``lookup`` of a standard price, with the ns since when it is in force, and before when."""
        return self._remember((provider, model, ""), at_ns)

    def find(self, price_id: str) -> Price | None:
        """Return the price with this id, which a usage row keeps."""
        provider, _, rest = price_id.rpartition("@")[0].partition("/")
        model, _, service_tier = rest.partition("#")
        _, prices = self._history((provider, model, service_tier))
        return next((price for price in prices if price.price_id == price_id), None)

    def list_prices(self, provider: str, model: str) -> tuple[Price, ...]:
        """Return the standard prices of a model through time, oldest first."""
        return tuple(self._history((provider, model, ""))[1])

    def row_of(self, price: Price) -> PriceRow | None:
        """Return the bundled row that a price was read from, with its source; None for the operator's own."""
        rows = () if price.is_operator else self._bundled.get((price.provider, price.model, price.service_tier), ())
        day = price.price_id.rpartition("@")[2].partition("+")[0]
        return next((row for row in rows if row.effective_from == day), None)

    def models(self, provider: str) -> tuple[str, ...]:
        """Return every name of the provider that has a price, sorted."""
        keys = self._bundled.keys() | self._operator.keys()
        return tuple(sorted({model for owner, model, _ in keys if owner == provider and model != ANY_MODEL}))

    def check(self) -> None:
        """Read every row; raises ValueError for the first malformed one."""
        for key in self._bundled:
            self._history(key)

    @property
    def digest(self) -> str:
        """Name the table's content: two tables with one digest price every call alike."""
        bundled, operator = self._written
        return hashlib.sha256(msgspec.json.encode((bundled, operator))).hexdigest()

    def __len__(self) -> int:
        """Count the rows."""
        return sum(len(rows) for rows in self._written)

    def _remember(self, name: _Key, at_ns: int) -> Span:
        """Look a price up in all histories that it may come from; it holds until the next change of any of them."""
        provider, model, service_tier = name
        begins_ns, ends_ns, price = 0, FOREVER_NS, None
        for key in _candidates(provider, model, service_tier):
            starts, prices = self._history(key)
            index = bisect_right(starts, at_ns)
            if index:
                begins_ns = max(begins_ns, starts[index - 1])
            if index < len(starts):
                ends_ns = min(ends_ns, starts[index])
            if price is None and index:
                price = prices[index - 1]
        if len(self._recent) >= _MAX_RECENT:
            # Callers can invent names without end.
            self._recent.clear()
        found = self._recent[name] = (begins_ns, ends_ns, price)
        return found

    def _history(self, key: _Key) -> _History:
        """Return one name's prices through time, from memory but for the first time."""
        known = self._histories.get(key)
        if known is not None:
            return known
        provider, model, _ = key
        theirs = self._operator.get(key) or self._operator.get((provider, model, ""), [])
        rows = self._bundled.get(key, [])
        if not rows and not theirs:
            # Callers can invent names without end; those are not remembered.
            return _EMPTY
        ours = [read_price(row, f"{provider}/{row.model} of the bundled table", is_operator=False) for row in rows]
        history = _merge(key, ours, theirs)
        self._histories[key] = history
        return history


_EMPTY: _History = ([], [])


def _candidates(provider: str, model: str, service_tier: str) -> list[_Key]:
    """Return the names whose prices may be a call's, the first that has one first."""
    keys = [(provider, model, service_tier)] if service_tier else []
    keys.append((provider, model, ""))
    if model.startswith("ft:"):
        keys.append((provider, ":".join(model.split(":", 2)[:2]), ""))
    return [*keys, (provider, ANY_MODEL, "")]


def _keys(row: PriceRow) -> list[_Key]:
    """Return the names under which a row is looked up."""
    return [(row.provider, name, row.service_tier) for name in (row.model, *row.names)]


def _merge(key: _Key, ours: list[Price], theirs: list[Price]) -> _History:
    """Order one name's prices by time; from the operator's first one on, only the operator's count."""
    for prices in (ours, theirs):
        if len({price.effective_from_ns for price in prices}) < len(prices):
            raise ValueError(f"prices of {'/'.join(key).rstrip('/')}: two hold from the same day on")
    first_ns = min((price.effective_from_ns for price in theirs), default=None)
    kept = [price for price in ours if first_ns is None or price.effective_from_ns < first_ns]
    history = sorted((*kept, *theirs), key=lambda price: price.effective_from_ns)
    return [price.effective_from_ns for price in history], history


def load_prices(operator: Sequence[PriceRow] = ()) -> PriceTable:
    """Load the bundled table with the operator's rows on top; raises ValueError for a malformed row."""
    text = files("providers.pricing").joinpath("prices.toml").read_text(encoding="utf-8")
    return PriceTable(read_bundle(text), operator)
