"""The one place where a call's usage becomes money.

Order of prices: the operator's own, then what the provider itself reports, then the bundled table. Without any of
them the row is ``unpriced``; a cost is zero only where nothing was produced or the answer is free.
"""

import msgspec

from providers.chat import Usage
from providers.pricing.prices import Price, PriceTable, cost_pusd, prompt_saved_pusd


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a call costs, in picodollars, by which authority, and the id of the price that made it."""

    pusd: int
    # operator | reported | bundled | free | unpriced | none | cache
    basis: str
    price_id: str = ""
    # What the provider's own prompt cache took off the price of the input; 0 where no price is known.
    prompt_saved_pusd: int = 0


FREE = Cost(pusd=0, basis="free")
NOTHING = Cost(pusd=0, basis="none")
# The gateway had the answer already.
GIVEN = Cost(pusd=0, basis="cache")


def settle(usage: Usage, price: Price | None) -> Cost:
    """Price the disjoint buckets; exact to the picodollar."""
    saved_pusd = prompt_saved_pusd(price, usage) if price is not None and usage.cache_read_tokens else 0
    if price is not None and price.is_operator:
        pusd = cost_pusd(price, usage)
        return Cost(pusd=pusd, basis="operator", price_id=price.price_id, prompt_saved_pusd=saved_pusd)
    if usage.reported_cost_pusd is not None:
        return Cost(pusd=usage.reported_cost_pusd, basis="reported", prompt_saved_pusd=saved_pusd)
    if price is None:
        return Cost(pusd=0, basis="unpriced")
    pusd = cost_pusd(price, usage)
    return Cost(pusd=pusd, basis="bundled", price_id=price.price_id, prompt_saved_pusd=saved_pusd)


def settle_call(prices: PriceTable, provider: str, model: str, at_ns: int, usage: Usage | None) -> Cost:
    """Price a call at its time; None means that nothing was produced or used."""
    if usage is None:
        return NOTHING
    return settle(usage, prices.lookup(provider, model, at_ns, usage.service_tier))
