"""What the providers' own prompt caches did for each key and model: how much they served, saved and cost in vain.

For every UTC day, key and model:

- *saved*: the tokens read from the cache, times what a fresh input token costs more than one read from it;
- *unread*: the tokens written to the cache beyond all that was read from it on that day. Every token read was written
  once, so at least these were written and read by nobody: their prefix changed before it came again, or it never did;
- *lost*: the unread tokens, times what writing one costs more than a fresh one. Writes for five minutes, whose
  surcharge is the lower, are taken to be unread first, so the loss is at least this.

Rates are those in force on the day, of the standard service tier and of inputs of ordinary length. A provider that
writes without a surcharge loses nothing here, and what a read token would have cost again had its prefix held is not
known. Amounts are rounded down to the picodollar.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

from collections.abc import Mapping

import msgspec

from gateway.analytics.moments import NS_PER_DAY
from gateway.analytics.usage import InvalidUsageQuery, read_query
from gateway.db import Database
from gateway.ledger.store import UsageFilter
from gateway.ledger.sums import Sums, Wanted, read_sums
from providers.pricing.prices import PriceTable, Rates

MAX_DAYS = 92
_ATTO_PER_PICO = 1_000_000


class PromptCacheUse(msgspec.Struct, kw_only=True):
    """Of one key and model, or of all together; summed up while it is made."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    unread_tokens: int = 0
    # Of models without a price: neither saved nor lost money is known.
    unpriced_tokens: int = 0
    saved_atto: int = 0
    lost_atto: int = 0

    @property
    def cached_share(self) -> float:
        """The share of all input that was read from the cache, 0 to 1."""
        return self.cache_read_tokens / self.input_tokens if self.input_tokens else 0.0

    @property
    def saved_pusd(self) -> int:
        """Rounded down."""
        return self.saved_atto // _ATTO_PER_PICO

    @property
    def lost_pusd(self) -> int:
        """Rounded down."""
        return self.lost_atto // _ATTO_PER_PICO


class PromptCacheUses(msgspec.Struct, frozen=True, kw_only=True):
    """By key and model, the largest input first, and all together."""

    by_key: dict[tuple[str, str], PromptCacheUse]
    total: PromptCacheUse


def read_period(project_id: str, now_ns: int, params: Mapping[str, str]) -> UsageFilter:
    """Read ``from`` and ``to`` as for the usage, at most three months apart. Raises InvalidUsageQuery."""
    rows = read_query(project_id, now_ns, {name: params[name] for name in ("from", "to") if name in params}).rows
    if rows.to_ns - rows.from_ns > MAX_DAYS * NS_PER_DAY:
        raise InvalidUsageQuery(f"from and to lie more than {MAX_DAYS} days apart: ask for a shorter time", "from")
    return rows


async def read_prompt_cache(database: Database, prices: PriceTable, rows: UsageFilter) -> PromptCacheUses:
    """Read what the caches did."""
    wanted = Wanted(project_ids=(rows.project_id,), from_ns=rows.from_ns, to_ns=rows.to_ns)
    async with database.read() as connection:
        groups = await read_sums(connection, wanted, ("day", "key_id", "model", "provider", "upstream_model"))
    uses: dict[tuple[str, str], PromptCacheUse] = {}
    total = PromptCacheUse()
    for (day, key_id, model, provider, upstream_model), sums in groups.items():
        price = prices.lookup(provider, upstream_model, int(day) * NS_PER_DAY)
        for use in (uses.setdefault((key_id, model), PromptCacheUse()), total):
            _add(use, sums, None if price is None else price.rates)
    by_key = sorted(uses.items(), key=lambda item: (-item[1].input_tokens, item[0]))
    return PromptCacheUses(by_key=dict(by_key), total=total)


def _add(use: PromptCacheUse, sums: Sums, rates: Rates | None) -> None:
    """Add a day of one key and model."""
    read, written = sums.cache_read_tokens, sums.cache_write_tokens + sums.cache_write_1h_tokens
    unread = max(written - read, 0)
    use.input_tokens += sums.all_input_tokens
    use.cache_read_tokens += read
    use.cache_write_tokens += written
    use.unread_tokens += unread
    if rates is None:
        use.unpriced_tokens += sums.all_input_tokens
        return
    short = min(unread, sums.cache_write_tokens)
    use.saved_atto += read * max(rates.input_atto - rates.cached_input_atto, 0)
    use.lost_atto += short * max(rates.cache_write_atto - rates.input_atto, 0)
    use.lost_atto += (unread - short) * max(rates.cache_write_1h_atto - rates.input_atto, 0)
