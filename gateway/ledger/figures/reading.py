"""Figures of any period in buckets of equal length, and the sums of its tags.

Buckets of whole hours or days are read from what is kept, shorter ones from the rows themselves. A bucket begins at a
multiple of its length since the epoch, in UTC.

Failure behavior: raises DatabaseUnavailable as gateway.db does, and while older rows are not summed up yet.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import DatabaseUnavailable
from gateway.ledger.figures.facts import PAGE_ROWS, Fact, read_period
from gateway.ledger.figures.histogram import LATENCY_BOUNDS, OVERHEAD_BOUNDS, read_quantile
from gateway.ledger.figures.sums import AUDITS_AT, FIGURES, LATENCY_AT, OVERHEAD_AT, TAG_SUMS, sum_facts
from gateway.ledger.rollups import DAY_NS, HOUR_NS, PART

_PEEK_ROLLED = text("SELECT rolled_from FROM figures_state")
_TAGS = text(
    f"SELECT tag, {', '.join(f'SUM({name}) AS {name}' for name in TAG_SUMS)} FROM usage_tags "  # noqa: S608 - constants
    "WHERE project_id IN :project_ids AND span_ns = :span_ns AND start_ns >= :from_ns AND start_ns < :to_ns "
    f"GROUP BY tag ORDER BY SUM(cost_high) + SUM(cost_low) / {PART} DESC, SUM(requests - audits) DESC, tag LIMIT :limit"
).bindparams(bindparam("project_ids", expanding=True))


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over calls, their corrections included; what the cache answered used no tokens and cost nothing.

    Audits, the calls that the gateway made by itself, are in the tokens and in the money, and in nothing else.
    """

    requests: int = 0
    errors: int = 0
    tokens: int = 0
    cost_pusd: int = 0
    exact_hits: int = 0
    semantic_hits: int = 0
    exact_saved_pusd: int = 0
    semantic_saved_pusd: int = 0
    # What providers' own prompt caches took off the price of the input.
    prompt_saved_pusd: int = 0
    # By the buckets of gateway.ledger.figures.histogram: calls that a provider answered, and all that were answered.
    latency: tuple[int, ...] = ()
    overhead: tuple[int, ...] = ()
    audits: int = 0

    @property
    def rows(self) -> int:
        """All calls, whoever made them."""
        return self.requests + self.audits

    def latency_ms(self, share: float) -> float | None:
        """A quantile of how long calls took that a provider answered."""
        return read_quantile(self.latency, LATENCY_BOUNDS, share)

    def overhead_us(self, share: float) -> float | None:
        """A quantile of the gateway's own time."""
        return read_quantile(self.overhead, OVERHEAD_BOUNDS, share)


class TagSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the calls of one tag; audits are in the tokens and in the money alone."""

    tag: str
    requests: int
    errors: int
    cache_hits: int
    tokens: int
    cost_pusd: int
    saved_pusd: int


def read_values(values: Sequence[Any]) -> Figures:
    """Read the columns of FIGURES."""
    plain = [int(value) for value in values]
    return Figures(
        requests=plain[0] - plain[AUDITS_AT],
        errors=plain[1],
        tokens=plain[2],
        cost_pusd=plain[3] * PART + plain[4],
        exact_hits=plain[5],
        semantic_hits=plain[6],
        exact_saved_pusd=plain[7] * PART + plain[8],
        semantic_saved_pusd=plain[9] * PART + plain[10],
        prompt_saved_pusd=plain[11] * PART + plain[12],
        latency=tuple(plain[LATENCY_AT:OVERHEAD_AT]),
        overhead=tuple(plain[OVERHEAD_AT:AUDITS_AT]),
        audits=plain[AUDITS_AT],
    )


def add_up(figures: Iterable[Figures]) -> Figures:
    """Sum figures up."""
    names = [name for name in Figures.__struct_fields__ if name not in ("latency", "overhead")]
    each = list(figures)
    return Figures(
        **{name: sum(getattr(one, name) for one in each) for name in names},
        latency=_add_counts([one.latency for one in each if one.latency]),
        overhead=_add_counts([one.overhead for one in each if one.overhead]),
    )


def _add_counts(counts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


def span_of(bucket_ns: int) -> int:
    """The longest span that is kept and of which the buckets are whole multiples; 0: none is short enough."""
    return next((span_ns for span_ns in (DAY_NS, HOUR_NS) if bucket_ns % span_ns == 0), 0)


async def read_series(
    connection: AsyncConnection, project_ids: Sequence[str], from_ns: int, to_ns: int, bucket_ns: int
) -> dict[int, Figures]:
    """Read the buckets of a period that begins and ends with one, by their first moment; empty ones are left out."""
    if not project_ids:
        return {}
    await check_complete(connection)
    span_ns = span_of(bucket_ns)
    if not span_ns:
        return await _read_short(connection, project_ids, from_ns, to_ns, bucket_ns)
    values = {"project_ids": list(project_ids), "span_ns": span_ns, "from_ns": from_ns, "to_ns": to_ns}
    found = await connection.execute(_series(bucket_ns), values)
    return {int(row[0]) * bucket_ns: read_values(row[1:]) for row in found}


async def read_tags(
    connection: AsyncConnection, project_ids: Sequence[str], from_ns: int, to_ns: int, limit: int
) -> list[TagSums]:
    """Sum the calls of a period up by tag, what costs most first; the period is of whole hours."""
    if not project_ids:
        return []
    await check_complete(connection)
    span_ns = DAY_NS if from_ns % DAY_NS == 0 and to_ns % DAY_NS == 0 else HOUR_NS
    values = {"project_ids": list(project_ids), "span_ns": span_ns, "from_ns": from_ns, "to_ns": to_ns}
    return [
        TagSums(
            tag=tag,
            requests=int(requests) - int(audits),
            errors=int(errors),
            cache_hits=int(hits),
            tokens=int(tokens),
            cost_pusd=int(cost_high) * PART + int(cost_low),
            saved_pusd=int(saved_high) * PART + int(saved_low),
        )
        for tag, requests, errors, hits, tokens, cost_high, cost_low, saved_high, saved_low, audits in (
            await connection.execute(_TAGS, {**values, "limit": limit})
        )
    ]


async def check_complete(connection: AsyncConnection) -> None:
    """Raise DatabaseUnavailable while rows of an older version are in no figure yet."""
    if (await connection.execute(_PEEK_ROLLED)).scalar_one() != "":
        raise DatabaseUnavailable("older usage is being summed up for these figures; ask again in a minute")


@functools.cache
def _series(bucket_ns: int) -> TextClause:
    sums = ", ".join(f"SUM({name}) AS {name}" for name in FIGURES)
    return text(
        f"SELECT start_ns / {bucket_ns} AS bucket, {sums} FROM usage_figures WHERE project_id IN :project_ids "  # noqa: S608 - a number and constants
        f"AND span_ns = :span_ns AND start_ns >= :from_ns AND start_ns < :to_ns GROUP BY start_ns / {bucket_ns}"
    ).bindparams(bindparam("project_ids", expanding=True))


async def _read_short(
    connection: AsyncConnection, project_ids: Sequence[str], from_ns: int, to_ns: int, bucket_ns: int
) -> dict[int, Figures]:
    buckets: dict[int, list[Fact]] = {}
    for project_id in project_ids:
        last: Fact | None = None
        while True:
            facts = await read_period(connection, project_id, from_ns, to_ns, last)
            for fact in facts:
                buckets.setdefault(fact.created_ns // bucket_ns * bucket_ns, []).append(fact)
            if len(facts) < PAGE_ROWS:
                break
            last = facts[-1]
    return {start_ns: sum_all(facts) for start_ns, facts in buckets.items()}


def sum_all(facts: Iterable[Fact]) -> Figures:
    """Sum facts up, whenever and of whatever project they are."""
    kept = sum_facts(fact._replace(project_id="", created_ns=0) for fact in facts)
    return read_values(kept.figures.get(("", HOUR_NS, 0), [0] * len(FIGURES)))
