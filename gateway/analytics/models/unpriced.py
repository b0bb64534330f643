"""Calls whose price is unknown: their cost counts as 0 until somebody names one, so they are told.

The sums that are kept by day tell where such calls can be: in those of a model without a price on the day, and in those
that cost something else than their tokens do at its price. There the rows are looked at, the newest day first. Beyond
MAX_ROWS of them the sums alone tell: all calls of a model on a day that cost nothing had no price, and of a day that
cost something nothing is told; the answer then says that it is not exact.

Failure behavior: raises DatabaseUnavailable as gateway.db does, and while older rows are not summed up yet.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import Database, DatabaseUnavailable
from gateway.ledger.rollups import DAY_NS, PART, TOKENS, read_rolled
from providers.chat import Usage
from providers.pricing.prices import PriceTable, cost_pusd
from providers.registry import PROVIDERS

# What answers in the gateway itself costs nothing.
FREE = frozenset(name for name, row in PROVIDERS.items() if row.dialect in ("local", "sandbox"))
MAX_DAYS = 92
# Sums of a model's day that are read, rows that are looked at one by one, and questions in which they are.
MAX_GROUPS = 20_000
MAX_ROWS = 50_000
MAX_PARTS = 500
# Reasoning is a part of the output.
_BUCKETS = tuple(name for name in TOKENS if name != "reasoning_tokens")
_READ_DAYS = text(
    "SELECT project_id, start_ns, model, provider, upstream_model, SUM(requests), SUM(errors), SUM(cache_hits), "  # noqa: S608 - made of constants
    f"SUM(cost_high), SUM(cost_low), {', '.join(f'SUM({name})' for name in _BUCKETS)} FROM usage_rollups "
    f"WHERE project_id IN :project_ids AND span_ns = {DAY_NS} AND start_ns >= :from_ns AND start_ns < :to_ns "
    "AND provider <> '' GROUP BY project_id, start_ns, model, provider, upstream_model "
    f"HAVING {' + '.join(f'SUM({name})' for name in _BUCKETS)} > 0 ORDER BY start_ns DESC LIMIT {MAX_GROUPS + 1}"
).bindparams(bindparam("project_ids", expanding=True))
_READ_ROWS = text(
    "SELECT provider, upstream_model, model, COUNT(*), "  # noqa: S608 - made of constants
    f"SUM({' + '.join(_BUCKETS)}), MIN(created_ns), MAX(created_ns) FROM usage WHERE project_id = :project_id "
    "AND created_ns >= :from_ns AND created_ns < :to_ns AND model IN :models AND cost_basis = 'unpriced' "
    "AND NOT EXISTS (SELECT 1 FROM corrections WHERE corrections.request_id = usage.request_id "
    "AND corrections.cost_basis <> 'unpriced') GROUP BY provider, upstream_model, model"
).bindparams(bindparam("models", expanding=True))


class Unpriced(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one name, which a provider answered and nobody can price."""

    provider: str
    upstream_model: str
    # The name that callers used.
    model: str
    calls: int
    tokens: int
    first_ns: int
    last_ns: int


class UnpricedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Those with the most tokens first. Not exact: there are more than could be looked at."""

    groups: list[Unpriced]
    is_exact: bool


class _Day(NamedTuple):
    """The sums of a model on a day of a project."""

    project_id: str
    day_ns: int
    model: str
    provider: str
    upstream_model: str
    # Of every call, whoever made it: those of the gateway's own want a price too.
    requests: int
    errors: int
    cache_hits: int
    cost_pusd: int
    usage: Usage


async def read_unpriced(
    database: Database, prices: PriceTable, project_ids: Sequence[str], from_ns: int, to_ns: int
) -> UnpricedCalls:
    """Read the unpriced calls of whole days, at most MAX_DAYS of them."""
    if not project_ids:
        return UnpricedCalls(groups=[], is_exact=True)
    found: list[Unpriced] = []
    async with database.read() as connection:
        days = await _read_days(connection, project_ids, from_ns, to_ns)
        is_exact, left, parts = len(days) <= MAX_GROUPS, MAX_ROWS, 0
        for suspects in _by_part(day for day in days[:MAX_GROUPS] if _may_lack_a_price(day, prices)):
            rows = sum(day.requests for day in suspects)
            if rows <= left and parts < MAX_PARTS:
                found += await _read_part(connection, suspects)
                left, parts = left - rows, parts + 1
            else:
                is_exact = False
                found += [_whole(day) for day in suspects if not day.cost_pusd]
    return UnpricedCalls(groups=_merge(found), is_exact=is_exact)


async def _read_days(connection: AsyncConnection, project_ids: Sequence[str], from_ns: int, to_ns: int) -> list[_Day]:
    if await read_rolled(connection, locks=False) != "":
        raise DatabaseUnavailable("older usage is being summed up; ask again in a minute")
    wanted = {"project_ids": list(project_ids), "from_ns": from_ns, "to_ns": to_ns}
    days: list[_Day] = []
    for project_id, day_ns, model, provider, upstream_model, *sums in await connection.execute(_READ_DAYS, wanted):
        requests, errors, hits, high, low, *tokens = map(int, sums)
        usage = msgspec.convert(dict(zip(_BUCKETS, tokens, strict=True)), Usage)
        names = (project_id, int(day_ns), model, provider, upstream_model)
        days.append(_Day(*names, requests, errors, hits, high * PART + low, usage))
    return days


def _may_lack_a_price(day: _Day, prices: PriceTable) -> bool:
    """Prices begin with a day, so one is in force for all of it."""
    if day.provider in FREE:
        return False
    price = prices.lookup(day.provider, day.upstream_model, day.day_ns)
    if price is None:
        return True
    plain = msgspec.structs.replace(price, tiers=(), per_request_pusd=0)
    fixed_pusd = (day.requests - day.cache_hits) * price.per_request_pusd
    return not price.is_free and day.cost_pusd != cost_pusd(plain, day.usage) + fixed_pusd


def _by_part(days: Iterable[_Day]) -> list[list[_Day]]:
    """Those of one project and day together, the newest day first."""
    parts: dict[tuple[int, str], list[_Day]] = {}
    for day in days:
        parts.setdefault((-day.day_ns, day.project_id), []).append(day)
    return [parts[place] for place in sorted(parts)]


async def _read_part(connection: AsyncConnection, suspects: Sequence[_Day]) -> list[Unpriced]:
    first = suspects[0]
    wanted = {
        "project_id": first.project_id,
        "from_ns": first.day_ns,
        "to_ns": first.day_ns + DAY_NS,
        "models": sorted({day.model for day in suspects}),
    }
    return [
        Unpriced(
            provider=provider,
            upstream_model=upstream_model,
            model=model,
            calls=int(calls),
            tokens=int(tokens),
            first_ns=int(first_ns),
            last_ns=int(last_ns),
        )
        for provider, upstream_model, model, calls, tokens, first_ns, last_ns in (
            await connection.execute(_READ_ROWS, wanted)
        )
    ]


def _whole(day: _Day) -> Unpriced:
    """All that a model did on a day, by its sums; failures that callers met are taken to have used nothing."""
    return Unpriced(
        provider=day.provider,
        upstream_model=day.upstream_model,
        model=day.model,
        calls=max(day.requests - day.errors - day.cache_hits, 1),
        tokens=sum(getattr(day.usage, name) for name in _BUCKETS),
        first_ns=day.day_ns,
        last_ns=day.day_ns + DAY_NS - 1,
    )


def _merge(found: Iterable[Unpriced]) -> list[Unpriced]:
    merged: dict[tuple[str, str, str], Unpriced] = {}
    for each in found:
        name = (each.provider, each.upstream_model, each.model)
        known = merged.get(name, each)
        merged[name] = each if known is each else _add(known, each)
    return sorted(merged.values(), key=lambda each: (-each.tokens, each.provider, each.upstream_model, each.model))


def _add(one: Unpriced, other: Unpriced) -> Unpriced:
    return msgspec.structs.replace(
        one,
        calls=one.calls + other.calls,
        tokens=one.tokens + other.tokens,
        first_ns=min(one.first_ns, other.first_ns),
        last_ns=max(one.last_ns, other.last_ns),
    )
