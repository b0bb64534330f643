"""What the calls of a period would have cost with another model: their own tokens at its price of today.

Answers from the cache cost nothing before and after. Counts are those of the tokenizer of the model that was called;
the interval covers what another one may make of the same text: nothing for the same model, 5 % between models of one
provider, and 0.8 to 1.25 times as many between providers. It does not cover that another model answers at another
length. Prices of long inputs are left out, and tokens read from a prompt cache are taken to be read from the other's.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

import msgspec

from gateway.analytics.overview.periods import Period
from gateway.db import Database
from gateway.ledger.rollups import HOUR_NS
from gateway.ledger.sums import Sums, Wanted, read_sums
from providers.chat import Usage
from providers.pricing.prices import Price, cost_pusd

_PER_CENT = 100
# The least and the most tokens, in hundredths.
_SAME, _ONE_VENDOR, _OTHERS = (100, 100), (95, 105), (80, 125)
INTERVAL = (
    "how another tokenizer counts the same text: exact for the same model, 5 % between models of one provider, 0.8 to "
    "1.25 times as many tokens between providers; not covered: that another model answers at another length"
)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one model, as they were and as they would have been."""

    model: str
    provider: str
    upstream_model: str
    # Those that were paid: the gateway's own, which check answers of the cache, are among them.
    requests: int
    actual_pusd: int
    simulated_pusd: int
    low_pusd: int
    high_pusd: int


async def simulate(database: Database, project_ids: tuple[str, ...], period: Period, price: Price) -> list[Group]:
    """Price every model's calls anew, what costs most first; calls that used no tokens are left out."""
    hours = period.in_buckets(HOUR_NS) if period.bucket_ns < HOUR_NS else period
    wanted = Wanted(project_ids=project_ids, from_ns=hours.from_ns, to_ns=hours.to_ns)
    async with database.read() as connection:
        found = await read_sums(connection, wanted, ("model", "provider", "upstream_model"))
    return [
        _price(*map(str, group), sums=sums, price=price)
        for group, sums in found.items()
        if sums.tokens and sums.rows > sums.cache_hits
    ]


def _price(model: str, provider: str, upstream_model: str, *, sums: Sums, price: Price) -> Group:
    calls = sums.rows - sums.cache_hits
    plain = msgspec.structs.replace(price, tiers=(), per_request_pusd=0)
    counts = {name: getattr(sums, name) for name in Usage.__struct_fields__ if name.endswith("_tokens")}
    tokens_pusd = cost_pusd(plain, Usage(**counts))
    fixed_pusd = calls * price.per_request_pusd
    least, most = _OTHERS
    if provider == price.provider:
        least, most = _SAME if upstream_model == price.model else _ONE_VENDOR
    return Group(
        model=model,
        provider=provider,
        upstream_model=upstream_model,
        requests=calls,
        actual_pusd=sums.cost_pusd,
        simulated_pusd=tokens_pusd + fixed_pusd,
        low_pusd=tokens_pusd * least // _PER_CENT + fixed_pusd,
        high_pusd=-(-tokens_pusd * most // _PER_CENT) + fixed_pusd,
    )
