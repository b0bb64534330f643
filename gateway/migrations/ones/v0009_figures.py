"""Schema 9: how the cache found an answer; figures of projects and of tags by hour and day; in which order calls came.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

# Buckets of gateway.ledger.figures.histogram; a change of their number is another migration.
_BUCKETS = ", ".join(
    f"{name}_{number} BIGINT NOT NULL"
    for name, count in (("latency", 106), ("overhead", 42))
    for number in range(count)
)

STATEMENTS = (
    "ALTER TABLE usage ADD COLUMN cache_layer TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE usage ADD COLUMN prompt_saved_pusd BIGINT NOT NULL DEFAULT 0",
    # Sums over the rows of usage from start_ns on and before start_ns + span_ns, with what was corrected of them.
    # Amounts are in two parts, whole micro-dollars and what is left, so that no sum can overflow.
    f"""
    CREATE TABLE usage_figures (
        project_id TEXT NOT NULL,
        span_ns BIGINT NOT NULL,
        start_ns BIGINT NOT NULL,
        requests BIGINT NOT NULL,
        errors BIGINT NOT NULL,
        tokens BIGINT NOT NULL,
        cost_high BIGINT NOT NULL,
        cost_low BIGINT NOT NULL,
        exact_hits BIGINT NOT NULL,
        semantic_hits BIGINT NOT NULL,
        exact_saved_high BIGINT NOT NULL,
        exact_saved_low BIGINT NOT NULL,
        semantic_saved_high BIGINT NOT NULL,
        semantic_saved_low BIGINT NOT NULL,
        prompt_saved_high BIGINT NOT NULL,
        prompt_saved_low BIGINT NOT NULL,
        {_BUCKETS},
        PRIMARY KEY (project_id, span_ns, start_ns)
    ){{without_rowid}}
    """,
    """
    CREATE TABLE usage_tags (
        project_id TEXT NOT NULL,
        span_ns BIGINT NOT NULL,
        start_ns BIGINT NOT NULL,
        tag TEXT NOT NULL,
        requests BIGINT NOT NULL,
        errors BIGINT NOT NULL,
        cache_hits BIGINT NOT NULL,
        tokens BIGINT NOT NULL,
        cost_high BIGINT NOT NULL,
        cost_low BIGINT NOT NULL,
        saved_high BIGINT NOT NULL,
        saved_low BIGINT NOT NULL,
        PRIMARY KEY (project_id, span_ns, start_ns, tag)
    ){without_rowid}
    """,
    # A row for each transaction that stored calls: their ids with commas between them. Old ones are deleted.
    """
    CREATE TABLE usage_feed (
        number {numbered},
        request_ids TEXT NOT NULL
    )
    """,
    # As rollup_state, of these two tables.
    "CREATE TABLE figures_state (rolled_from TEXT)",
    "INSERT INTO figures_state (rolled_from) SELECT CASE WHEN EXISTS (SELECT 1 FROM usage) THEN NULL ELSE '' END",
)
