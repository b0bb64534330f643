"""In which hours calls are that may match, the newest first, as the kept sums tell: the rows of others are not read.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

import functools
from collections.abc import AsyncGenerator, Sequence

import msgspec
from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.analytics.calls.filters import Filter
from gateway.ledger.rollups import DAY_NS, HOUR_NS, SPANS

# What the sums by key and model can tell apart.
_DIMENSIONS = ("model", "provider", "key_id")
# Of audits the sums do not tell which failed.
_HAS_ERRORS = "errors + audits > 0"


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    """Sums that tell where matching calls are."""

    table: str
    spans: tuple[int, ...]
    terms: str
    values: dict[str, str]


async def find_hours(
    connection: AsyncConnection, project_ids: Sequence[str], wanted: Filter, from_ns: int, before_ns: int
) -> AsyncGenerator[tuple[int, int], None]:
    """Yield the first moment of each hour that has calls, and how many; those of other terms may be fewer."""
    source = _choose(wanted)
    ends = [(from_ns, before_ns, source.spans)]
    while ends:
        since_ns, until_ns, spans = ends.pop()
        span_ns = spans[0]
        values = {
            **source.values,
            "project_ids": list(project_ids),
            "span_ns": span_ns,
            "from_ns": since_ns // span_ns * span_ns,
            "to_ns": until_ns,
        }
        found = [(int(row[0]), int(row[1])) for row in await connection.execute(_statement(source), values)]
        if span_ns == HOUR_NS:
            for start_ns, requests in found:
                yield start_ns, requests
        else:
            # The newest is looked at first.
            ends += [
                (max(start_ns, since_ns), min(start_ns + span_ns, until_ns), spans[1:])
                for start_ns, _ in reversed(found)
            ]


def _choose(wanted: Filter) -> _Source:
    values = {name: wanted.equal[name] for name in _DIMENSIONS if name in wanted.equal}
    terms = [f"{name} = :{name}" for name in values]
    if wanted.needs_errors:
        terms.append(_HAS_ERRORS)
    if wanted.tag is not None:
        terms = ["tag = :tag", *(term for term in terms if term == _HAS_ERRORS)]
        hits = ["cache_hits > 0"] if wanted.needs_hits else []
        return _Source(
            table="usage_tags", spans=(DAY_NS, HOUR_NS), terms=_join(terms + hits), values={"tag": wanted.tag}
        )
    if values:
        hits = ["cache_hits > 0"] if wanted.needs_hits else []
        return _Source(table="usage_rollups", spans=SPANS, terms=_join(terms + hits), values=values)
    hits = ["exact_hits + semantic_hits > 0"] if wanted.needs_hits else []
    return _Source(table="usage_figures", spans=(DAY_NS, HOUR_NS), terms=_join(terms + hits), values={})


def _join(terms: list[str]) -> str:
    return "".join(f" AND {term}" for term in terms)


def _statement(source: _Source) -> TextClause:
    return _write(source.table, source.terms)


@functools.cache
def _write(table: str, terms: str) -> TextClause:
    """The statement for one choice of terms: there are few."""
    return text(
        f"SELECT start_ns, SUM(requests) AS requests FROM {table} WHERE project_id IN :project_ids "  # noqa: S608 - constants
        f"AND span_ns = :span_ns AND start_ns >= :from_ns AND start_ns < :to_ns{terms} "
        "GROUP BY start_ns ORDER BY start_ns DESC"
    ).bindparams(bindparam("project_ids", expanding=True))
