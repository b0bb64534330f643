"""Schema 16: in the sums of usage, calls that the gateway made by itself are counted apart from those of callers.

Rows that are summed up already are taken out of the errors and times that they were counted in; those that wait for it
are summed up as new ones are. Nothing is summed up anew: other processes may be storing rows beside this one.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

import math

_HOUR_NS = 3_600 * 1_000_000_000
_DAY_NS = 24 * _HOUR_NS
_GROUP = ("key_id", "model", "provider", "upstream_model")
# Whatever Python strips off a tag.
_BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())


def _bounds(first: int, octaves: int, per_octave: int) -> tuple[int, ...]:
    """As of gateway.ledger.figures.histogram; a change there is another migration."""
    return (0, *(math.ceil(first * 2 ** (step / per_octave)) for step in range(octaves * per_octave + 1)))


def _count(name: str, column: str, bounds: tuple[int, ...], condition: str) -> dict[str, str]:
    """What an audit was counted as in the buckets of a histogram, by bucket."""
    last = len(bounds) - 1
    return {
        f"{name}_{number}": f"CASE WHEN {condition} AND {column} >= {bound}"
        + (f" AND {column} < {bounds[number + 1]}" if number < last else "")
        + " THEN 1 ELSE 0 END"
        for number, bound in enumerate(bounds)
    }


# What an audit was counted as, by the name of the sum.
_OF_ROLLUPS = {"errors": "errors", "latency_ms": "latency_ms"}
_OF_TAGS = {"errors": "errors"}
_OF_FIGURES = {
    "errors": "errors",
    **_count("latency", "latency_ms", _bounds(16, 13, 8), "errors = 0 AND NOT is_cached"),
    **_count("overhead", "overhead_us", _bounds(64, 10, 4), "errors = 0"),
}
_BY_TAG = f"""
    WITH RECURSIVE parts (request_id, project_id, created_ns, errors, part, others) AS (
        SELECT request_id, project_id, created_ns, errors, CAST('' AS TEXT), tags || ',' FROM audit_rows
        UNION ALL
        SELECT request_id, project_id, created_ns, errors,
            SUBSTR(others, 1, {{find}}(others, ',') - 1), SUBSTR(others, {{find}}(others, ',') + 1)
        FROM parts WHERE others <> ''
    )
    SELECT DISTINCT request_id, project_id, created_ns, errors, TRIM(part, '{_BLANKS}') AS tag FROM parts
"""  # noqa: S608 - made of constants


def _correct(table: str, state: str, sums: dict[str, str], spans: tuple[int, ...], others: tuple[str, ...] = ()) -> str:
    """Write the statement that counts audits apart in one table: summed by hour first, of which there are few."""
    source = f"({_BY_TAG}) AS tagged" if "tag" in others else "audit_rows"
    hour, start = f"created_ns - created_ns % {_HOUR_NS}", "hour_ns - hour_ns % span_ns"
    names = ", ".join(("project_id", *others))
    by_hour = ", ".join(f"SUM({how}) AS {name}" for name, how in sums.items())
    by_span = ", ".join(f"SUM({name}) AS {name}" for name in ("audits", *sums))
    lengths = " UNION ALL ".join(f"SELECT {span_ns} AS span_ns" for span_ns in spans)
    changes = ", ".join(f"{name} = {table}.{name} - found.{name}" for name in sums)
    key = ("project_id", *(("span_ns",) if len(spans) > 1 else ()), "start_ns", *others)
    return f"""
    UPDATE {table} SET audits = found.audits, {changes} FROM (
        SELECT {names}, span_ns, {start} AS start_ns, {by_span} FROM (
            SELECT {names}, {hour} AS hour_ns, COUNT(*) AS audits, {by_hour}
            FROM {source} CROSS JOIN {state} WHERE request_id >= rolled_from GROUP BY {names}, {hour}
        ) AS hours CROSS JOIN ({lengths}) AS spans GROUP BY {names}, span_ns, {start}
    ) AS found WHERE {" AND ".join(f"{table}.{name} = found.{name}" for name in key)}
    """  # noqa: S608 - made of constants


STATEMENTS = (
    *(
        f"ALTER TABLE {table} ADD COLUMN audits BIGINT NOT NULL DEFAULT 0"
        for table in ("usage_rollups", "usage_days", "usage_figures", "usage_tags")
    ),
    # The second condition is the index's own.
    f"""
    CREATE TABLE audit_rows AS
    SELECT request_id, created_ns, project_id, {", ".join(_GROUP)}, is_cached, latency_ms, overhead_us, tags,
        CASE WHEN error_code = '' THEN 0 ELSE 1 END AS errors
    FROM usage WHERE cache_layer = 'audit' AND cache_layer <> ''
    """,  # noqa: S608 - made of constants
    _correct("usage_rollups", "rollup_state", _OF_ROLLUPS, (32 * _DAY_NS, _DAY_NS, _HOUR_NS), _GROUP),
    _correct("usage_days", "rollup_state", _OF_ROLLUPS, (_DAY_NS,)),
    _correct("usage_figures", "figures_state", _OF_FIGURES, (_DAY_NS, _HOUR_NS)),
    _correct("usage_tags", "figures_state", _OF_TAGS, (_DAY_NS, _HOUR_NS), ("tag",)),
    "DROP TABLE audit_rows",
)
