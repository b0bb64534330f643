"""Schema 6: usage summed by hour, day and stretch of days; corrections of what was charged; a call's failed tries.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    # The tries that failed; empty where none did.
    "ALTER TABLE usage ADD COLUMN trail TEXT NOT NULL DEFAULT ''",
    # With the model, so that the calls of one are found without reading those of all others.
    "DROP INDEX usage_by_project",
    "CREATE INDEX usage_by_project ON usage (project_id, created_ns, request_id, model)",
    # Sums over the rows of usage that were created from start_ns on and before start_ns + span_ns, and over their
    # corrections. Amounts are in two parts, whole micro-dollars and what is left, so that no sum can overflow.
    """
    CREATE TABLE usage_rollups (
        project_id TEXT NOT NULL,
        span_ns BIGINT NOT NULL,
        start_ns BIGINT NOT NULL,
        key_id TEXT NOT NULL,
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        upstream_model TEXT NOT NULL,
        requests BIGINT NOT NULL,
        errors BIGINT NOT NULL,
        cache_hits BIGINT NOT NULL,
        input_tokens BIGINT NOT NULL,
        cache_read_tokens BIGINT NOT NULL,
        cache_write_tokens BIGINT NOT NULL,
        cache_write_1h_tokens BIGINT NOT NULL,
        audio_input_tokens BIGINT NOT NULL,
        image_input_tokens BIGINT NOT NULL,
        output_tokens BIGINT NOT NULL,
        audio_output_tokens BIGINT NOT NULL,
        image_output_tokens BIGINT NOT NULL,
        reasoning_tokens BIGINT NOT NULL,
        tokens_saved BIGINT NOT NULL,
        cost_high BIGINT NOT NULL,
        cost_low BIGINT NOT NULL,
        saved_high BIGINT NOT NULL,
        saved_low BIGINT NOT NULL,
        latency_ms BIGINT NOT NULL,
        PRIMARY KEY (project_id, span_ns, start_ns, key_id, model, provider, upstream_model)
    ){without_rowid}
    """,
    # In which hours a model was called: 3600000000000 ns.
    """
    CREATE INDEX usage_rollups_by_model ON usage_rollups (project_id, model, start_ns)
    WHERE span_ns = 3600000000000
    """,
    # Rows of usage from this id on are summed up, older ones wait for it; '': all are, NULL: none is.
    "CREATE TABLE rollup_state (rolled_from TEXT)",
    "INSERT INTO rollup_state (rolled_from) SELECT CASE WHEN EXISTS (SELECT 1 FROM usage) THEN NULL ELSE '' END",
    # What a row was charged too much or too little, by the price that says so; rows of usage never change.
    """
    CREATE TABLE corrections (
        request_id TEXT NOT NULL REFERENCES usage (request_id),
        number BIGINT NOT NULL,
        delta_pusd BIGINT NOT NULL,
        cost_basis TEXT NOT NULL,
        price_id TEXT NOT NULL,
        created_ns BIGINT NOT NULL,
        PRIMARY KEY (request_id, number)
    ){without_rowid}
    """,
)
