"""A believable year of calls: a team's working hours, growth, a cache that is turned on, and a provider's bad days.

Everything follows from the seed and the moment at which the year ends. Costs are those of the price table, by the same
function that settles real calls.
"""

import math
import random
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.ids import make_id
from gateway.ledger.row import Try, UsageRow, add_try
from gateway.ledger.settle import settle_call
from providers.chat import Usage
from providers.pricing.prices import PriceTable

DAYS = 365
_NS_PER_S = 1_000_000_000
_HOUR_NS = 3_600 * _NS_PER_S
_DAY_NS = 24 * _HOUR_NS
_EPOCH_WEEKDAY = 3
# Monday first; and the hours of a day, in UTC, of people in Europe.
_WEEK = (1.0, 1.08, 1.1, 1.05, 0.92, 0.32, 0.27)
_DAY = (3, 2, 2, 2, 3, 5, 12, 28, 52, 66, 70, 68, 58, 64, 70, 68, 60, 46, 30, 22, 16, 12, 8, 5)
# From here on, as shares of the year, the cache answers by meaning as well; and the days of an outage.
_SEMANTIC_FROM = 0.62
_EXACT_FROM = 0.15
_OUTAGES = (0.41, 0.73, 0.955)


class Model(msgspec.Struct, frozen=True):
    """A model that is called: the caller's name, who answers, the name there, and how fast it writes."""

    name: str
    provider: str
    upstream: str
    first_byte_ms: float
    tokens_per_s: float


MINI = Model("gpt-4o-mini", "openai", "gpt-4o-mini", 420, 95)
BIG = Model("gpt-4o", "openai", "gpt-4o", 560, 75)
SONNET = Model("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5", 900, 68)
HAIKU = Model("claude-haiku-4-5", "anthropic", "claude-haiku-4-5", 450, 140)
OSS = Model("gpt-oss-120b", "groq", "openai/gpt-oss-120b", 190, 420)
EMBED = Model("text-embedding-3-small", "openai", "text-embedding-3-small", 95, 0)


class App(msgspec.Struct, frozen=True, kw_only=True):
    """A program that calls: its project and keys by their names, and what its calls are like."""

    project: str
    keys: tuple[str, ...]
    # How much of the traffic, and which models by how much.
    weight: float
    models: tuple[tuple[Model, float], ...]
    tags: tuple[str, ...]
    # Medians of a call.
    input_tokens: int
    output_tokens: int
    # Shares of calls that repeat another exactly, or by their meaning; and of the input that a provider has cached.
    repeats: float
    resembles: float
    cached_share: float = 0.0
    streams: float = 0.6


APPS = (
    App(
        project="Support assistant",
        keys=("web chat", "mobile chat", "mail triage"),
        weight=0.46,
        models=((MINI, 0.62), (HAIKU, 0.23), (SONNET, 0.15)),
        tags=("support,chat", "support,chat,vip", "support,mail"),
        input_tokens=900,
        output_tokens=180,
        repeats=0.17,
        resembles=0.16,
        cached_share=0.35,
    ),
    App(
        project="Document search",
        keys=("indexer", "answers"),
        weight=0.34,
        models=((EMBED, 0.7), (MINI, 0.2), (OSS, 0.1)),
        tags=("search,index", "search,answers"),
        input_tokens=1_400,
        output_tokens=140,
        repeats=0.22,
        resembles=0.07,
        streams=0.1,
    ),
    App(
        project="Code review",
        keys=("ci", "editor plug-in", "release notes"),
        weight=0.2,
        models=((SONNET, 0.5), (BIG, 0.3), (OSS, 0.2)),
        tags=("engineering,review", "engineering,editor", "engineering,release"),
        input_tokens=3_600,
        output_tokens=520,
        repeats=0.05,
        resembles=0.03,
        cached_share=0.6,
    ),
)
_BACKUP = {"openai": HAIKU, "anthropic": BIG, "groq": MINI}


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """Which project and which keys the names of APPS are."""

    projects: dict[str, str]
    # By project's and key's name.
    keys: dict[tuple[str, str], str]


def make_year(ids: Ids, prices: PriceTable, calls: int, seed: int, end_ns: int) -> Iterator[UsageRow]:
    """Yield ``calls`` rows of the year before ``end_ns``, the oldest first."""
    drawn = random.Random(seed)  # noqa: S311 - a story, not a secret
    for created_ns in _draw_moments(drawn, calls, end_ns):
        yield _make_row(drawn, ids, prices, created_ns, 1 - (end_ns - created_ns) / (DAYS * _DAY_NS))


def _draw_moments(drawn: random.Random, calls: int, end_ns: int) -> Iterator[int]:
    """Yield moments by the rhythm of hours and weekdays, with growth and days that are busier than others."""
    first = (end_ns - DAYS * _DAY_NS) // _HOUR_NS + 1
    hours = range(first, end_ns // _HOUR_NS + 1)
    busy = [drawn.lognormvariate(0, 0.12) for _ in range(DAYS + 2)]
    weights = [_weigh(hour, (number + 1) / len(hours)) * busy[number // 24] for number, hour in enumerate(hours)]
    # Of the hour that is under way only what is over.
    weights[-1] *= (end_ns % _HOUR_NS) / _HOUR_NS
    total, passed, made = sum(weights), 0.0, 0
    for hour, weight in zip(hours, weights, strict=True):
        passed += weight
        count = round(calls * passed / total) - made
        made += count
        length_ns = min(end_ns - hour * _HOUR_NS, _HOUR_NS)
        yield from sorted(hour * _HOUR_NS + int(drawn.random() * length_ns) for _ in range(count))


def _weigh(hour: int, share: float) -> float:
    weekday = (hour // 24 + _EPOCH_WEEKDAY) % 7
    return _DAY[hour % 24] * _WEEK[weekday] * (0.45 + 0.75 * share + 0.06 * math.sin(share * 6 * math.pi))


def _make_row(drawn: random.Random, ids: Ids, prices: PriceTable, created_ns: int, share: float) -> UsageRow:
    (app,) = drawn.choices(APPS, [each.weight for each in APPS])
    place = drawn.randrange(len(app.keys))
    ((model, _),) = drawn.choices(app.models, [weight for _, weight in app.models])
    usage = _draw_usage(drawn, app, model)
    fields: dict[str, Any] = {
        "request_id": make_id(created_ns, drawn.randbytes(16)),
        "created_ns": created_ns,
        "project_id": ids.projects[app.project],
        "key_id": ids.keys[app.project, app.keys[place]],
        "endpoint": "embeddings" if model is EMBED else "chat/completions",
        "model": model.name,
        "is_stream": model is not EMBED and drawn.random() < app.streams,
        "overhead_us": int(drawn.lognormvariate(math.log(310), 0.45)),
        "tags": app.tags[place],
        "session": f"s{drawn.randrange(max(int(3_000 * share), 50)):05d}",
    }
    layer = _draw_layer(drawn, app, model, share)
    if layer:
        return _make_hit(prices, model, usage, layer, fields)
    return _make_call(drawn, prices, model, usage, share, fields)


def _draw_usage(drawn: random.Random, app: App, model: Model) -> Usage:
    given = int(drawn.lognormvariate(math.log(app.input_tokens), 0.55)) + 1
    if model is EMBED:
        return Usage(input_tokens=given)
    cached = int(given * app.cached_share * drawn.random()) if app.cached_share else 0
    written = int(drawn.lognormvariate(math.log(app.output_tokens), 0.6)) + 1
    is_cached = cached >= 256 and model.provider in ("openai", "anthropic")  # noqa: PLR2004 - as providers round it away
    return Usage(
        input_tokens=given - (cached if is_cached else 0),
        cache_read_tokens=cached if is_cached else 0,
        output_tokens=written,
    )


def _draw_layer(drawn: random.Random, app: App, model: Model, share: float) -> str:
    chance = drawn.random()
    exact = app.repeats * min((share - _EXACT_FROM) * 6, 1) if share > _EXACT_FROM else 0.0
    if chance < exact:
        return "exact"
    can_resemble = share > _SEMANTIC_FROM and model is not EMBED
    semantic = app.resembles * min((share - _SEMANTIC_FROM) * 5, 1) if can_resemble else 0.0
    return "semantic" if chance < exact + semantic else ""


def _make_hit(prices: PriceTable, model: Model, usage: Usage, layer: str, fields: dict[str, Any]) -> UsageRow:
    cost = settle_call(prices, model.provider, model.upstream, _at(fields), usage)
    hit: dict[str, Any] = {
        "provider": model.provider,
        "upstream_model": model.upstream,
        "status": "complete",
        "http_status": 200,
        "is_cached": True,
        "tokens_saved": usage.input_tokens + usage.cache_read_tokens + usage.output_tokens,
        "saved_pusd": cost.pusd,
        "cost_basis": "cache",
        "latency_ms": 6 if layer == "semantic" else 1,
        "first_byte_ms": 1,
        "cache_entry": f"ce_{str(fields['request_id'])[-12:]}",
        "cache_layer": layer,
    }
    return UsageRow(**{**fields, **_counts(usage), **hit})


def _make_call(  # noqa: PLR0913, PLR0917 - what a call is made of
    drawn: random.Random, prices: PriceTable, model: Model, usage: Usage, share: float, fields: dict[str, Any]
) -> UsageRow:
    is_out = model.provider == "openai" and any(0 <= share - begin < 6 / (DAYS * 24) for begin in _OUTAGES)
    trail, waited_ms, answering = "", 0, model
    if drawn.random() < (0.7 if is_out else 0.008):
        waited_ms = int(drawn.uniform(800, 9_000))
        code = "provider_unavailable" if is_out else "upstream_timeout"
        trail = add_try("", Try(model.provider, model.upstream, code, waited_ms))
        answering = model if model is EMBED else _BACKUP[model.provider]
    failed = drawn.random() < (0.35 if is_out and trail else 0.006)
    first_ms = int(drawn.lognormvariate(math.log(answering.first_byte_ms), 0.35))
    write_ms = int(usage.output_tokens / answering.tokens_per_s * 1_000) if answering.tokens_per_s else 0
    answer: dict[str, Any] = {
        "provider": answering.provider,
        "upstream_model": answering.upstream,
        "attempts": 2 if trail else 1,
        "trail": trail,
        "latency_ms": waited_ms + first_ms + (0 if failed else write_ms),
        "first_byte_ms": 0 if failed else waited_ms + first_ms,
    }
    if failed:
        code = drawn.choice(("upstream_error", "upstream_timeout", "rate_limit_exceeded"))
        answer |= {"status": "failed", "http_status": 429 if code == "rate_limit_exceeded" else 502}
        return UsageRow(**fields, **answer, error_code=code, cost_basis="none")
    cost = settle_call(prices, answering.provider, answering.upstream, _at(fields), usage)
    settled: dict[str, Any] = {
        "status": "cancelled" if drawn.random() < 0.004 else "complete",  # noqa: PLR2004 - clients leave now and then
        "http_status": 200,
        "cost_pusd": cost.pusd,
        "cost_basis": cost.basis,
        "price_id": cost.price_id,
        "prompt_saved_pusd": cost.prompt_saved_pusd,
    }
    return UsageRow(**{**fields, **_counts(usage), **answer, **settled})


def _at(fields: dict[str, Any]) -> int:
    return int(fields["created_ns"])


def _counts(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }
