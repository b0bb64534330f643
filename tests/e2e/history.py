"""A believable past: weeks with quiet ends, growth, repeats that the cache answered, some failures."""

import math
import random
from collections.abc import Iterator, Sequence

import msgspec

from gateway.ids import new_id
from gateway.ledger.row import UsageRow

DAY_NS = 86_400 * 10**9
HOUR_NS = DAY_NS // 24
# The share of a day's calls by the hour, UTC: an office, mostly.
HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 10, 11, 12, 12, 11, 9, 7, 5, 4, 4, 3, 2)
WEEKEND = 0.35


class Kind(msgspec.Struct, frozen=True):
    """Calls of one model: its provider, its price in picodollars a token, how often it is called, how long it takes."""

    model: str
    provider: str
    input_pusd: int
    output_pusd: int
    weight: int
    latency_ms: int


KINDS = (
    Kind("gpt-4o", "openai", 2_500_000, 10_000_000, 30, 1_400),
    Kind("gpt-4o-mini", "openai", 150_000, 600_000, 45, 700),
    Kind("claude-sonnet-4-5", "anthropic", 3_000_000, 15_000_000, 20, 1_900),
    Kind("llama-3.3-70b-versatile", "groq", 590_000, 790_000, 15, 400),
)
TAGS = ("checkout", "search", "support", "nightly", "")


def make_history(
    keys: Sequence[tuple[str, str]], *, until_ns: int, days: int, calls_a_day: int, seed: int = 11
) -> Iterator[UsageRow]:
    """Yield calls of these projects' keys, oldest first, on the days before ``until_ns``."""
    chosen = random.Random(seed)  # noqa: S311 - figures that are the same each time, no secret
    for day in range(days):
        begin_ns = until_ns - (days - day) * DAY_NS
        growth = 0.55 + 0.45 * day / days + 0.12 * math.sin(day / 5)
        weekend = WEEKEND if (begin_ns // DAY_NS + 4) % 7 in (0, 6) else 1.0
        count = max(round(calls_a_day * growth * weekend * chosen.uniform(0.85, 1.15)), 1)
        hours = chosen.choices(range(24), HOURS, k=count)
        moments = sorted(begin_ns + hour * HOUR_NS + chosen.randrange(HOUR_NS) for hour in hours)
        for moment_ns in moments:
            yield _make_call(chosen, moment_ns, chosen.choice(keys), cached=0.18 + 0.2 * day / days)


def _make_call(chosen: random.Random, moment_ns: int, key: tuple[str, str], *, cached: float) -> UsageRow:
    kind = chosen.choices(KINDS, [each.weight for each in KINDS])[0]
    read, written = round(chosen.lognormvariate(7.4, 0.8)), round(chosen.lognormvariate(5.8, 0.6))
    cost_pusd = read * kind.input_pusd + written * kind.output_pusd
    latency_ms = round(kind.latency_ms * chosen.lognormvariate(0, 0.45))
    common = UsageRow(
        request_id=new_id(moment_ns),
        created_ns=moment_ns,
        project_id=key[0],
        key_id=key[1],
        endpoint="chat/completions",
        model=kind.model,
        provider=kind.provider,
        upstream_model=kind.model,
        status="complete",
        http_status=200,
        overhead_us=round(chosen.lognormvariate(6.2, 0.4)),
        tags=chosen.choice(TAGS),
        is_stream=chosen.random() < 0.4,
    )
    if chosen.random() < cached:
        layer = "exact" if chosen.random() < 0.6 else "semantic"
        return msgspec.structs.replace(
            common, is_cached=True, cache_layer=layer, saved_pusd=cost_pusd, tokens_saved=read + written, latency_ms=3
        )
    if chosen.random() < 0.012:
        return msgspec.structs.replace(
            common,
            status="failed",
            http_status=502,
            error_code=chosen.choice(("upstream_unreachable", "provider_error", "upstream_timeout")),
            attempts=3,
            latency_ms=latency_ms * 4,
        )
    return msgspec.structs.replace(
        common,
        input_tokens=read,
        output_tokens=written,
        cost_pusd=cost_pusd,
        cost_basis="bundled",
        attempts=1,
        latency_ms=latency_ms,
        first_byte_ms=latency_ms // 3,
    )
