"""Schema 12: in which order calls were stored, for those who follow them.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    # A row for each transaction that stored calls: their ids with commas between them. Old ones are deleted.
    """
    CREATE TABLE usage_feed (
        number {numbered},
        request_ids TEXT NOT NULL
    )
    """,
)
