"""Schema 18: which requests were answered anew, so that every process forgets the older answer.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    """
    CREATE TABLE cache_refreshes (
        exact_key {blob} PRIMARY KEY,
        created_ns BIGINT NOT NULL,
        revision BIGINT NOT NULL
    ){without_rowid}
    """,
    "CREATE INDEX cache_refreshes_by_revision ON cache_refreshes (revision)",
    "CREATE INDEX cache_refreshes_by_age ON cache_refreshes (created_ns)",
)
