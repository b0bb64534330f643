"""Schema 7: the line of rotations that a key stands in, by which budgets count it; days of projects; corrections.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    # The first key of the line, where this one took over from another; NULL: it did not.
    "ALTER TABLE keys ADD COLUMN root_id TEXT",
    """
    WITH RECURSIVE line (key_id, root_id) AS (
        SELECT key_id, key_id FROM keys WHERE replaces IS NULL
        UNION ALL
        SELECT keys.key_id, line.root_id FROM keys JOIN line ON keys.replaces = line.key_id
    )
    UPDATE keys SET root_id = (SELECT line.root_id FROM line WHERE line.key_id = keys.key_id)
    WHERE replaces IS NOT NULL
    """,
    # What successors have spent is the line's, from the beginning on.
    """
    INSERT INTO spend (scope, scope_id, slot, pusd)
    SELECT 'key', keys.root_id, spend.slot, SUM(spend.pusd) FROM spend
    JOIN keys ON keys.key_id = spend.scope_id
    WHERE spend.scope = 'key' AND keys.root_id IS NOT NULL
    GROUP BY keys.root_id, spend.slot
    ON CONFLICT (scope, scope_id, slot) DO UPDATE SET pusd = spend.pusd + excluded.pusd
    """,
    "DELETE FROM spend WHERE scope = 'key' AND scope_id IN (SELECT key_id FROM keys WHERE root_id IS NOT NULL)",
    # Sums of whole projects by day, from which a year's days are told: a fraction of those by key and model.
    """
    CREATE TABLE usage_days (
        project_id TEXT NOT NULL,
        start_ns BIGINT NOT NULL,
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
        PRIMARY KEY (project_id, start_ns)
    ){without_rowid}
    """,
    """
    INSERT INTO usage_days (
        project_id, start_ns,
        requests, errors, cache_hits, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
        audio_input_tokens, image_input_tokens, output_tokens, audio_output_tokens, image_output_tokens,
        reasoning_tokens, tokens_saved, cost_high, cost_low, saved_high, saved_low, latency_ms
    )
    SELECT project_id, start_ns,
        SUM(requests), SUM(errors), SUM(cache_hits), SUM(input_tokens), SUM(cache_read_tokens),
        SUM(cache_write_tokens), SUM(cache_write_1h_tokens), SUM(audio_input_tokens), SUM(image_input_tokens),
        SUM(output_tokens), SUM(audio_output_tokens), SUM(image_output_tokens), SUM(reasoning_tokens),
        SUM(tokens_saved), SUM(cost_high), SUM(cost_low), SUM(saved_high), SUM(saved_low), SUM(latency_ms)
    FROM usage_rollups WHERE span_ns = 86400000000000 GROUP BY project_id, start_ns
    """,
    # Counts the transactions that book corrections, so that processes learn of them.
    "INSERT INTO revisions (name, value) VALUES ('corrections', 0)",
)
