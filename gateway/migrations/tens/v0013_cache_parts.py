"""Schema 13: which calls got an entry of the cache as a part of a batch of inputs.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    """
    CREATE TABLE cache_parts (
        project_id TEXT NOT NULL,
        entry_id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        created_ns BIGINT NOT NULL,
        PRIMARY KEY (project_id, entry_id, request_id)
    ){without_rowid}
    """,
    "CREATE INDEX cache_parts_by_age ON cache_parts (created_ns)",
)
