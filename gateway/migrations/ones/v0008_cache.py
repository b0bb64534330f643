"""Schema 8: what projects set of the cache, what was purged, and which entry answered a call.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    """
    CREATE TABLE cache_settings (
        project_id TEXT PRIMARY KEY REFERENCES projects (project_id),
        mode TEXT,
        ttl_s BIGINT,
        scope TEXT,
        tool_calls BOOLEAN,
        max_wrong_rate DOUBLE PRECISION,
        max_wrong_hit_rate DOUBLE PRECISION,
        revision BIGINT NOT NULL
    )
    """,
    "CREATE INDEX cache_settings_by_revision ON cache_settings (revision)",
    """
    CREATE TABLE cache_purges (
        revision BIGINT PRIMARY KEY,
        project_id TEXT NOT NULL,
        entry_id TEXT,
        tag TEXT,
        model TEXT,
        before_ns BIGINT,
        made_ns BIGINT NOT NULL
    )
    """,
    "INSERT INTO revisions (name, value) VALUES ('cache', 0)",
    "ALTER TABLE usage ADD COLUMN cache_entry TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX usage_by_entry ON usage (project_id, cache_entry) WHERE cache_entry <> ''",
)
