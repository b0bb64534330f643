"""What a stored call costs by the prices that are in force now for its time; a pure function of its row."""

import msgspec

from gateway.ledger.settle import Cost, settle
from providers.chat import Usage
from providers.pricing.prices import PriceTable

# Nothing was produced, nothing costs anything, or nobody knows more than the most that it may have cost.
FINAL_BASES = frozenset({"none", "free", "bound"})


class RatedRow(msgspec.Struct, frozen=True, array_like=True):
    """Of a usage row what re-rating needs; see gateway.ledger.row."""

    request_id: str
    created_ns: int
    project_id: str
    key_id: str
    model: str
    provider: str
    upstream_model: str
    service_tier: str
    tags: str
    status: str
    is_cached: bool
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    audio_input_tokens: int
    image_input_tokens: int
    output_tokens: int
    audio_output_tokens: int
    image_output_tokens: int
    cost_pusd: int
    lost_pusd: int
    prompt_saved_pusd: int
    cost_basis: str

    @property
    def is_final(self) -> bool:
        """Whether no price changes what it cost."""
        return self.is_cached or self.status == "in_doubt" or self.cost_basis in FINAL_BASES

    @property
    def rated_pusd(self) -> int:
        """What it was charged by its counts: what earlier tries cost is not rated again."""
        return self.cost_pusd - self.lost_pusd


def rate(row: RatedRow, prices: PriceTable) -> Cost:
    """Price a row that is not final as a call of its time is priced now; ``unpriced`` where there is no price.

    What a provider reported stands until the operator names a price.
    """
    usage = Usage(
        input_tokens=row.input_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
        cache_write_1h_tokens=row.cache_write_1h_tokens,
        audio_input_tokens=row.audio_input_tokens,
        image_input_tokens=row.image_input_tokens,
        output_tokens=row.output_tokens,
        audio_output_tokens=row.audio_output_tokens,
        image_output_tokens=row.image_output_tokens,
        reported_cost_pusd=row.rated_pusd if row.cost_basis == "reported" else None,
    )
    return settle(usage, prices.lookup(row.provider, row.upstream_model, row.created_ns, row.service_tier))
