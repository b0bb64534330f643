"""Sums of usage over any period, by whatever is asked: from the sums that are kept, and from rows at its edges.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.rollups import DAY_NS, MEASURES, PART, STRETCH_NS, read_rolled
from gateway.ledger.spans import MAX_EDGES, MAX_PIECES, cut

# ``day`` counts days since the epoch.
Dimension = Literal["project_id", "key_id", "model", "provider", "upstream_model", "day"]
# What sums of whole projects by day can be told by.
_OF_DAYS: frozenset[Dimension] = frozenset({"project_id", "day"})
# Groups that one question may have; those that cost most are told.
MAX_GROUPS = 20_000
_CORRECTIONS = "FROM corrections WHERE corrections.request_id = usage.request_id"
CORRECTED: dict[str, str] = {
    **MEASURES,
    "cost_high": f"{MEASURES['cost_high']} + COALESCE((SELECT SUM(delta_pusd / {PART}) {_CORRECTIONS}), 0)",
    "cost_low": f"{MEASURES['cost_low']} + COALESCE((SELECT SUM(delta_pusd % {PART}) {_CORRECTIONS}), 0)",
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls are meant: those of some projects, from a moment on and before another."""

    project_ids: tuple[str, ...]
    from_ns: int
    to_ns: int
    # The name that the caller used; None: every model.
    model: str | None = None


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over calls, their corrections included; what the cache answered used no tokens and cost nothing.

    Audits, the calls that the gateway made by itself, are in the tokens and the cost, and in no other sum.
    """

    requests: int = 0
    errors: int = 0
    cache_hits: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    output_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    # A part of the output's.
    reasoning_tokens: int = 0
    tokens_saved: int = 0
    cost_pusd: int = 0
    saved_pusd: int = 0
    latency_ms: int = 0
    audits: int = 0

    @property
    def rows(self) -> int:
        """All calls, whoever made them."""
        return self.requests + self.audits

    @property
    def tokens(self) -> int:
        """Every bucket."""
        return self.all_input_tokens + self.output_tokens + self.audio_output_tokens + self.image_output_tokens

    @property
    def all_input_tokens(self) -> int:
        """Every bucket of the input, cached or not."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.audio_input_tokens
            + self.image_input_tokens
        )

    @property
    def cache_hit_rate(self) -> float:
        """The share of requests answered from the cache, 0 to 1."""
        return self.cache_hits / self.requests if self.requests else 0.0


NOTHING = Sums()


async def read_sums(
    connection: AsyncConnection,
    wanted: Wanted,
    by: tuple[Dimension, ...] = (),
    limit: int = MAX_GROUPS,
    *,
    longest_ns: int = STRETCH_NS,
) -> dict[tuple[Any, ...], Sums]:
    """Sum up the calls that are meant, by each of ``by`` that differs; what costs most comes first.

    Without ``by`` there is one group, ``()``, if there is any call. Only sums of spans up to ``longest_ns`` are used;
    with 0 the rows themselves are summed.
    """
    if not wanted.project_ids:
        return {}
    is_rolled = await read_rolled(connection, locks=False) == ""
    # A year of a project's days are fewer sums than a stretch of its keys and models.
    is_of_days = wanted.model is None and set(by) <= _OF_DAYS
    longest_ns = min(longest_ns, DAY_NS) if "day" in by or is_of_days else longest_ns
    parts = cut((wanted.from_ns, wanted.to_ns), longest_ns=longest_ns, is_rolled=is_rolled)
    values: dict[str, Any] = {"project_ids": list(wanted.project_ids), "limit": limit}
    if wanted.model is not None:
        values["model"] = wanted.model
    for number in range(MAX_PIECES):
        piece = parts.pieces[number] if number < len(parts.pieces) else (0, 0, 0)
        values |= {f"{name}{number}": value for name, value in zip(("span", "from", "to"), piece, strict=True)}
    for number in range(MAX_EDGES):
        edge = parts.edges[number] if number < len(parts.edges) else (0, 0)
        values |= {f"{name}{number}": value for name, value in zip(("begin", "end"), edge, strict=True)}
    found = await connection.execute(_statement(by, has_model=wanted.model is not None), values)
    return {tuple(row[: len(by)]): _read(row[len(by) :]) for row in found if row.requests}


async def read_total(connection: AsyncConnection, wanted: Wanted) -> Sums:
    """Sum up all calls that are meant."""
    return (await read_sums(connection, wanted)).get((), NOTHING)


def _read(row: Sequence[Any]) -> Sums:
    # PostgreSQL sums integers to decimals.
    values = {name: int(value) for name, value in zip(MEASURES, row, strict=True)}
    for amount in ("cost", "saved"):
        values[f"{amount}_pusd"] = values.pop(f"{amount}_high") * PART + values.pop(f"{amount}_low")
    values["requests"] -= values["audits"]
    return Sums(**values)


@functools.cache
def _statement(by: tuple[Dimension, ...], *, has_model: bool) -> TextClause:
    """The whole statement for one choice of groups."""
    kept = {"day": f"start_ns / {DAY_NS}"}
    rows = {"day": f"created_ns / {DAY_NS}"}
    measures = ", ".join(MEASURES)
    model = " AND model = :model" if has_model else ""
    pieces = ", ".join(
        f"(CAST(:span{n} AS BIGINT), CAST(:from{n} AS BIGINT), CAST(:to{n} AS BIGINT))" for n in range(MAX_PIECES)
    )
    edges = ", ".join(f"(CAST(:begin{n} AS BIGINT), CAST(:end{n} AS BIGINT))" for n in range(MAX_EDGES))

    def columns(sources: dict[str, str], figures: str) -> str:
        return ", ".join([*(f"{sources.get(name, name)} AS {name}" for name in by), figures])

    days = others = ""
    if not has_model and set(by) <= _OF_DAYS:
        # Whole projects by day are kept apart: they are a fraction of those by key and model.
        days = (
            f"SELECT {columns(kept, measures)} FROM piece CROSS JOIN usage_days WHERE project_id IN :project_ids "  # noqa: S608
            f"AND piece.span = {DAY_NS} AND start_ns >= piece.since AND start_ns < piece.until UNION ALL "
        )
        others = f"AND piece.span <> {DAY_NS} "
    # The order of a CROSS JOIN is kept by SQLite: each part looks its rows up in the index.
    statement = (
        f"WITH piece (span, since, until) AS (VALUES {pieces}), edge (since, until) AS (VALUES {edges}) "  # noqa: S608 - made of constants
        f"SELECT {columns({}, ', '.join(f'SUM({name}) AS {name}' for name in MEASURES))} FROM ("
        f"{days}SELECT {columns(kept, measures)} FROM piece CROSS JOIN usage_rollups WHERE project_id IN :project_ids "
        f"{others}AND span_ns = piece.span AND start_ns >= piece.since AND start_ns < piece.until{model} UNION ALL "
        f"SELECT {columns(rows, ', '.join(f'{how} AS {name}' for name, how in CORRECTED.items()))} "
        f"FROM edge CROSS JOIN usage WHERE project_id IN :project_ids "
        f"AND created_ns >= edge.since AND created_ns < edge.until{model}) AS parts "
        + (f"GROUP BY {', '.join(by)} " if by else "")
        + f"ORDER BY SUM(cost_high) + SUM(cost_low) / {PART} DESC LIMIT :limit"
    )
    return text(statement).bindparams(bindparam("project_ids", expanding=True))
