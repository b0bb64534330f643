"""Sums of facts by hour and day: of whole projects, and of each tag of a project.

Failure behavior: raises DatabaseUnavailable as gateway.db does.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.alike import Alike, Batch, gather
from gateway.ledger.figures.facts import Fact, fact_of
from gateway.ledger.figures.histogram import LATENCY_BOUNDS, OVERHEAD_BOUNDS, count_buckets, find_bucket
from gateway.ledger.figures.tags import split_tags
from gateway.ledger.inserts import SqliteInsert
from gateway.ledger.rollups import DAY_NS, HOUR_NS, PART, read_state, split_amounts
from gateway.ledger.row import UsageRow

SPANS = (DAY_NS, HOUR_NS)
_COUNTS = ("requests", "errors", "tokens", "cost_high", "cost_low", "exact_hits", "semantic_hits")
_SAVED = tuple(f"{layer}_saved_{part}" for layer in ("exact", "semantic", "prompt") for part in ("high", "low"))
_PLAIN = (*_COUNTS, *_SAVED)
_COST_AT = _PLAIN.index("cost_high")
_PROMPT_SAVED_AT = _PLAIN.index("prompt_saved_high")
LATENCY_AT = len(_PLAIN)
OVERHEAD_AT = LATENCY_AT + len(LATENCY_BOUNDS)
FIGURES = (
    *_PLAIN,
    *(f"latency_{number}" for number in range(len(LATENCY_BOUNDS))),
    *(f"overhead_{number}" for number in range(len(OVERHEAD_BOUNDS))),
    "audits",
)
AUDITS_AT = len(FIGURES) - 1
TAG_SUMS = ("requests", "errors", "cache_hits", "tokens", "cost_high", "cost_low", "saved_high", "saved_low", "audits")
FIGURES_KEY = ("project_id", "span_ns", "start_ns")
TAGS_KEY = (*FIGURES_KEY, "tag")
_TEXTS = frozenset({"project_id", "tag"})
# The lock keeps the history's fold and the rows that come meanwhile apart, until the commit.
_READ_ROLLED = {
    "sqlite": text("SELECT rolled_from FROM figures_state"),
    "postgresql": text("SELECT rolled_from FROM figures_state FOR SHARE"),
}
# As of gateway.ledger.rollups.
_IS_WHOLE = "all usage is in the figures"

Group = tuple[Any, ...]


class Kept(NamedTuple):
    """Sums by their keys: FIGURES by project, span and start, TAG_SUMS by these and the tag."""

    figures: dict[Group, list[int]]
    tags: dict[Group, list[int]]


def sum_facts(facts: Iterable[Fact], alike: Sequence[Alike] = ()) -> Kept:
    """Sum facts up by every span, and with them rows of hours that are alike."""
    figures: dict[Group, list[int]] = {}
    tags: dict[Group, list[int]] = {}
    for kind in alike:
        hour = (kind.common.project_id, kind.span)
        _add_alike(figures.setdefault(hour, [0] * len(FIGURES)), kind)
        if any(kind.own.tags):
            for row in kind.read():
                _add_tags(tags, hour, fact_of(row))
    for fact in facts:
        hour = (fact.project_id, fact.created_ns // HOUR_NS)
        sums = figures.get(hour)
        if sums is None:
            sums = figures[hour] = [0] * len(FIGURES)
        _add_fact(sums, fact)
        if fact.tags:
            _add_tags(tags, hour, fact)
    return Kept(_spread(figures), _spread(tags))


def _add_alike(sums: list[int], alike: Alike) -> None:
    """Add rows that are alike; what stands for them all counts as often as there are rows."""
    fact, own, count = fact_of(alike.common), alike.own, len(alike.rows)
    layer = 1 if fact.is_semantic else 0
    sums[0] += count
    if fact.is_cached:
        sums[5 + layer] += count
    else:
        row = alike.common
        same = row.total_tokens - row.input_tokens - row.cache_read_tokens - row.output_tokens
        sums[2] += same * count + sum(map(sum, (own.input_tokens, own.cache_read_tokens, own.output_tokens)))
        _add_amounts(sums, _COST_AT, own.cost_pusd)
    _add_amounts(sums, _PROMPT_SAVED_AT, own.prompt_saved_pusd)
    _add_amounts(sums, 7 + 2 * layer, own.saved_pusd)
    if fact.is_audit:
        sums[AUDITS_AT] += count
    elif fact.error_code:
        sums[1] += count
    else:
        _add_times(sums, OVERHEAD_AT, OVERHEAD_BOUNDS, own.overhead_us)
        if not fact.is_cached:
            _add_times(sums, LATENCY_AT, LATENCY_BOUNDS, own.latency_ms)


def _add_times(sums: list[int], place: int, bounds: Sequence[int], times: Sequence[int]) -> None:
    for bucket, count in count_buckets(bounds, times).items():
        sums[place + bucket] += count


def _add_tags(tags: dict[Group, list[int]], hour: Group, fact: Fact) -> None:
    for tag in split_tags(fact.tags.replace("\0", "\ufffd")):
        _add_tagged(tags.setdefault((*hour, tag), [0] * len(TAG_SUMS)), fact)


def _add_fact(sums: list[int], fact: Fact) -> None:
    """Add a fact; most have nothing to do with the cache."""
    sums[0] += 1
    sums[2] += fact.tokens
    _add_money(sums, _COST_AT, fact.cost_pusd)
    _add_money(sums, _PROMPT_SAVED_AT, fact.prompt_saved_pusd)
    if fact.is_cached or fact.saved_pusd:
        layer = 1 if fact.is_semantic else 0
        if fact.is_cached:
            sums[5 + layer] += 1
        # Also of a call that was made, where some of its inputs were kept.
        _add_money(sums, 7 + 2 * layer, fact.saved_pusd)
    if fact.is_audit:
        # As of gateway.ledger.rollups: nobody asked for it, so nobody met its error or waited for it.
        sums[AUDITS_AT] += 1
    elif fact.error_code:
        sums[1] += 1
    else:
        sums[OVERHEAD_AT + find_bucket(OVERHEAD_BOUNDS, fact.overhead_us)] += 1
        if not fact.is_cached:
            sums[LATENCY_AT + find_bucket(LATENCY_BOUNDS, fact.latency_ms)] += 1


def _add_tagged(sums: list[int], fact: Fact) -> None:
    sums[0] += 1
    sums[1] += 1 if fact.error_code and not fact.is_audit else 0
    sums[2] += 1 if fact.is_cached else 0
    sums[3] += fact.tokens
    _add_money(sums, 4, fact.cost_pusd)
    _add_money(sums, 6, fact.saved_pusd)
    sums[8] += 1 if fact.is_audit else 0


def _add_money(sums: list[int], place: int, pusd: int) -> None:
    if pusd:
        high, low = divmod(pusd, PART)
        sums[place] += high
        sums[place + 1] += low


def _add_amounts(sums: list[int], place: int, amounts: Sequence[int]) -> None:
    if any(amounts):
        high, low = split_amounts(amounts)
        sums[place] += high
        sums[place + 1] += low


def _spread(hours: dict[Group, list[int]]) -> dict[Group, list[int]]:
    """Sum hours up by every span; ``(project, hour, …)`` becomes ``(project, span, start, …)``."""
    spread: dict[Group, list[int]] = {}
    for (project_id, hour, *others), sums in hours.items():
        for span_ns in SPANS:
            group = (project_id, span_ns, hour * HOUR_NS // span_ns * span_ns, *others)
            known = spread.get(group)
            spread[group] = sums if known is None else [a + b for a, b in zip(known, sums, strict=True)]
    return spread


async def read_rolled(connection: AsyncConnection) -> str | None:
    """Tell from which row on all are in the figures, until the commit: '' from the first, None: none is."""
    return await read_state(connection, _READ_ROLLED[connection.dialect.name], _IS_WHOLE)


async def add_rows(connection: AsyncConnection, rows: Sequence[UsageRow], batch: Batch) -> None:
    """Add rows that were just inserted, which ``batch`` has as well, to their figures, in the caller's transaction."""
    rolled_from = await read_rolled(connection)
    if rolled_from is None or not rows:
        return
    if rolled_from:
        batch = gather([row for row in rows if row.request_id >= rolled_from], HOUR_NS)
    await add_facts(connection, map(fact_of, batch.others), batch.alike)


async def add_facts(connection: AsyncConnection, facts: Iterable[Fact], alike: Sequence[Alike] = ()) -> None:
    """Add facts and rows that are in no figure yet, inside the caller's transaction."""
    kept = sum_facts(facts, alike)
    await _add(connection, _ADD_FIGURES, kept.figures)
    await _add(connection, _ADD_TAGS, kept.tags)


class Change(NamedTuple):
    """What a correction changes of a stored row; amounts may be negative."""

    project_id: str
    created_ns: int
    tags: str
    cost_pusd: int
    prompt_saved_pusd: int


async def add_changes(connection: AsyncConnection, changes: Iterable[Change]) -> None:
    """Add corrections of stored rows, inside the caller's transaction."""
    figures: dict[Group, list[int]] = {}
    tagged: dict[Group, list[int]] = {}
    for change in changes:
        hour = (change.project_id, change.created_ns // HOUR_NS)
        sums = figures.setdefault(hour, [0] * len(FIGURES))
        _add_money(sums, _COST_AT, change.cost_pusd)
        _add_money(sums, _PROMPT_SAVED_AT, change.prompt_saved_pusd)
        for tag in split_tags(change.tags):
            _add_money(tagged.setdefault((*hour, tag), [0] * len(TAG_SUMS)), 4, change.cost_pusd)
    await _add(connection, _ADD_FIGURES, _spread(figures))
    await _add(connection, _ADD_TAGS, _spread(tagged))


class _Statements(NamedTuple):
    """How sums are added to one table."""

    sqlite: SqliteInsert
    postgresql: str


def _write(table: str, key: Sequence[str], sums: Sequence[str]) -> _Statements:
    columns = (*key, *sums)
    into = f"INSERT INTO {table} ({', '.join(columns)})"
    add = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET " + ", ".join(
        f"{name} = {table}.{name} + excluded.{name}" for name in sums
    )
    values = ", ".join(
        f"(s ->> {place})::{'TEXT' if name in _TEXTS else 'BIGINT'}" for place, name in enumerate(columns)
    )
    return _Statements(
        sqlite=SqliteInsert(into, len(columns), add),
        postgresql=f"{into} SELECT {values} FROM jsonb_array_elements($1::jsonb) AS s {add}",  # noqa: S608 - constants
    )


_ADD_FIGURES = _write("usage_figures", FIGURES_KEY, FIGURES)
_ADD_TAGS = _write("usage_tags", TAGS_KEY, TAG_SUMS)


async def _add(connection: AsyncConnection, statements: _Statements, sums: dict[Group, list[int]]) -> None:
    """Add in the order of the key: processes that do so at once wait for each other in one direction only."""
    if not sums:
        return
    rows = [(*group, *sums[group]) for group in sorted(sums)]
    if connection.dialect.name == "postgresql":
        # PostgreSQL stores every character but NUL.
        batch = msgspec.json.encode(rows).replace(b"\\u0000", b"\\ufffd").decode()
        await connection.exec_driver_sql(statements.postgresql, (batch,))
    else:
        await statements.sqlite.run(connection, rows)
