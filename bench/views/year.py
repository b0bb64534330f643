"""A year of usage, made in bulk by SQLite itself: the same rows for the same size, with the sums that are kept of them.

Half of the calls are one project's, a tenth is answered from a cache, a hundredth fails; one model is called once in
twenty thousand calls. What budgets count is left out: no view of usage reads it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from gateway.ledger.figures.facts import SELECT_FACTS, Fact
from gateway.ledger.figures.sums import FIGURES, FIGURES_KEY, TAG_SUMS, TAGS_KEY, Group, sum_facts
from gateway.ledger.rollups import KEY, MEASURES, write_day_sums, write_sums
from gateway.ledger.row import UsageRow

YEAR_NS = 365 * 86_400 * 1_000_000_000
KEYS = 8
RARE_MODEL = "once-in-a-while"
# Name, provider, name there, and picodollars of a token of input and of output.
MODELS = (
    ("gpt-4o-mini", "openai", "gpt-4o-mini", 150_000, 600_000),
    ("gpt-4o", "openai", "gpt-4o", 2_500_000, 10_000_000),
    ("gpt-4", "openai", "gpt-4-0613", 30_000_000, 60_000_000),
    ("claude-3-5-sonnet", "anthropic", "claude-sonnet-4-5", 3_000_000, 15_000_000),
    ("claude-3-haiku", "anthropic", "claude-haiku-4-5", 1_000_000, 5_000_000),
    ("llama-3-70b", "groq", "openai/gpt-oss-120b", 150_000, 600_000),
    ("llama-3-8b", "groq", "openai/gpt-oss-20b", 75_000, 300_000),
    ("text-embedding-3-small", "openai", "text-embedding-3-small", 20_000, 20_000),
    (RARE_MODEL, "openrouter", "vendor/once", 1_000_000, 1_000_000),
)
_PIECE_ROWS = 250_000
_SUMMED_ROWS = 1_000_000
# Of each drawn number h; all else is a row's default.
_VALUES = {
    "request_id": "printf('%026d', i)",
    "created_ns": ":start_ns + i * :step_ns + h % :step_ns",
    "project_id": "project.id",
    "key_id": f"'key_' || substr(project.id, 6) || '_' || (h >> 7) % {KEYS}",
    "endpoint": "'chat/completions'",
    "model": "model.name",
    "provider": "model.provider",
    "upstream_model": "model.upstream",
    "upstream_request_id": "'req_' || h",
    "status": "CASE WHEN h % 100 = 7 THEN 'failed' ELSE 'complete' END",
    "http_status": "CASE WHEN h % 100 = 7 THEN 502 ELSE 200 END",
    "error_code": "CASE WHEN h % 100 = 7 THEN 'upstream_error' ELSE '' END",
    "is_stream": "h % 3 = 0",
    "is_cached": "h % 10 = 3",
    "cache_layer": "CASE WHEN h % 30 = 3 THEN 'semantic' WHEN h % 10 = 3 THEN 'exact' ELSE '' END",
    "prompt_saved_pusd": "CASE WHEN h % 4 = 0 THEN h % 2000 * model.input ELSE 0 END",
    "input_tokens": "200 + h % 3000",
    "cache_read_tokens": "CASE WHEN h % 4 = 0 THEN h % 2000 ELSE 0 END",
    "output_tokens": "20 + h % 700",
    "tokens_saved": "CASE WHEN h % 10 = 3 THEN 220 + h % 3000 ELSE 0 END",
    "cost_pusd": "CASE WHEN h % 10 = 3 THEN 0 ELSE (200 + h % 3000) * model.input + (20 + h % 700) * model.output END",
    "saved_pusd": "CASE WHEN h % 10 = 3 THEN (200 + h % 3000) * model.input ELSE 0 END",
    "cost_basis": "'bundled'",
    "price_id": "model.provider || '/' || model.upstream || '@2026-01-01+00000000'",
    "latency_ms": "150 + h % 4000",
    "first_byte_ms": "100 + h % 900",
    "overhead_us": "80 + h % 300",
    "attempts": "1",
    "tags": "CASE WHEN h % 5 = 0 THEN 'team-' || h % 12 ELSE '' END",
    "session": "'s' || h % 100000",
}


def fill(database: Path, projects: Sequence[str], rows: int, end_ns: int) -> None:
    """Store ``rows`` rows of the year before ``end_ns`` and their sums in a database that has no calls."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        # Nobody else has it open, and a crash costs only the benchmark.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        _make_tables(connection, projects)
        # Built as a whole they take a fifth of the time.
        indexes = _take_indexes(connection)
        step_ns = YEAR_NS // rows
        place = {"start_ns": end_ns - YEAR_NS, "step_ns": step_ns, "projects": len(projects)}
        for first in range(0, rows, _PIECE_ROWS):
            piece = {"first": first, "after": min(first + _PIECE_ROWS, rows)}
            connection.execute(_INSERT, {**piece, **place})
        for first in range(0, rows, _SUMMED_ROWS):
            summed = {"first": f"{first:026d}", "after": f"{first + _SUMMED_ROWS:026d}"}
            connection.execute(_ROLL_UP, summed)
            connection.execute(_ROLL_UP_DAYS, summed)
        for first in range(0, rows, _PIECE_ROWS):
            _add_figures(connection, f"{first:026d}", f"{first + _PIECE_ROWS:026d}")
        for index in indexes:
            connection.execute(index)


def _add_figures(connection: sqlite3.Connection, first: str, after: str) -> None:
    """Sum rows up as the gateway does: their histograms are no business of SQL."""
    found = connection.execute(f"{SELECT_FACTS} WHERE request_id >= ? AND request_id < ?", (first, after))
    kept = sum_facts(Fact(*row) for row in found)
    _add_sums(connection, "usage_figures", (*FIGURES_KEY, *FIGURES), kept.figures)
    _add_sums(connection, "usage_tags", (*TAGS_KEY, *TAG_SUMS), kept.tags)


def _add_sums(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], sums: Mapping[Group, Sequence[int]]
) -> None:
    keys = [name for name in columns if name in TAGS_KEY]
    adds = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in columns if name not in TAGS_KEY)
    connection.execute("BEGIN")
    connection.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "  # noqa: S608 - constants
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {adds}",
        [(*group, *values) for group, values in sorted(sums.items())],
    )
    connection.execute("COMMIT")


def _take_indexes(connection: sqlite3.Connection) -> list[str]:
    """Drop the indexes of the tables that are filled, and give what makes them again."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
        "AND tbl_name IN ('usage', 'usage_rollups')"
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    return [statement for _, statement in found]


def _make_tables(connection: sqlite3.Connection, projects: Sequence[str]) -> None:
    connection.execute("CREATE TEMP TABLE project (n INTEGER PRIMARY KEY, id TEXT)")
    connection.executemany("INSERT INTO project VALUES (?, ?)", enumerate(projects))
    connection.execute("CREATE TEMP TABLE model (n INTEGER PRIMARY KEY, name, provider, upstream, input, output)")
    connection.executemany(
        "INSERT INTO model VALUES (?, ?, ?, ?, ?, ?)", ((n, *model) for n, model in enumerate(MODELS))
    )


def _write_insert() -> str:
    fields = msgspec.structs.fields(UsageRow)
    values = [_VALUES.get(field.name, "''" if field.type is str else "0") for field in fields]
    return (
        f"INSERT INTO usage ({', '.join(field.name for field in fields)}) "  # noqa: S608 - made of constants
        "WITH RECURSIVE number (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM number WHERE i + 1 < :after), "
        "drawn AS (SELECT i, ((i * 2654435761 + 12345) % 4294967296) * 48271 % 2147483647 AS h FROM number) "
        f"SELECT {', '.join(values)} FROM drawn "
        "CROSS JOIN project ON project.n = CASE WHEN h % 2 = 0 THEN 0 ELSE (h >> 3) % :projects END "
        f"CROSS JOIN model ON model.n = CASE WHEN h % 20011 = 0 THEN {len(MODELS) - 1} "
        f"ELSE (h >> 5) % {len(MODELS) - 1} END"
    )


_INSERT = _write_insert()
_SUMMED = "FROM usage WHERE request_id >= :first AND request_id < :after"
_ROLL_UP = (
    f"INSERT INTO usage_rollups ({', '.join((*KEY, *MEASURES))}) "
    + write_sums(_SUMMED)
    + f" ORDER BY {', '.join(KEY)} ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET "
    + ", ".join(f"{name} = usage_rollups.{name} + excluded.{name}" for name in MEASURES)
)
_ROLL_UP_DAYS = (
    f"INSERT INTO usage_days (project_id, start_ns, {', '.join(MEASURES)}) {write_day_sums(_SUMMED)} "
    "ON CONFLICT (project_id, start_ns) DO UPDATE SET "
    + ", ".join(f"{name} = usage_days.{name} + excluded.{name}" for name in MEASURES)
)
