"""Schema 4: what accounts, projects and keys are allowed: plans, limits a key, tags, and projects that were deleted.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    # A name of gateway.limits' plan table, and the figures that differ from it for this account, as JSON.
    "ALTER TABLE accounts ADD COLUMN plan TEXT NOT NULL DEFAULT 'free'",
    "ALTER TABLE accounts ADD COLUMN rate_overrides TEXT",
    # Of the IANA database; budgets' days, weeks and months begin at its midnight.
    "ALTER TABLE accounts ADD COLUMN zone TEXT NOT NULL DEFAULT 'UTC'",
    # A deleted project keeps its usage and its keys' rows; its name is free again.
    "ALTER TABLE projects ADD COLUMN deleted_ns BIGINT",
    "DROP INDEX projects_by_operator_name",
    "DROP INDEX projects_by_account_name",
    """
    CREATE UNIQUE INDEX projects_by_operator_name ON projects (name)
    WHERE account_id IS NULL AND deleted_ns IS NULL
    """,
    """
    CREATE UNIQUE INDEX projects_by_account_name ON projects (account_id, name)
    WHERE account_id IS NOT NULL AND deleted_ns IS NULL
    """,
    # The person or the key that made it; NULL: the operator, at the command line.
    "ALTER TABLE keys ADD COLUMN made_by TEXT",
    # The document whose endpoint made it, which its prefix tells.
    "ALTER TABLE keys ADD COLUMN issuer TEXT NOT NULL DEFAULT 'lgw'",
    # Of every call with the key, besides those of the call itself; a JSON list.
    "ALTER TABLE keys ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
    # NULL: not limited.
    "ALTER TABLE keys ADD COLUMN requests_per_minute BIGINT",
    "ALTER TABLE keys ADD COLUMN tokens_per_minute BIGINT",
    "ALTER TABLE keys ADD COLUMN max_concurrent BIGINT",
    # It acts on its whole account, not on its project alone.
    "ALTER TABLE keys ADD COLUMN is_account_wide BOOLEAN NOT NULL DEFAULT FALSE",
    # The key that this one takes over from, which stays valid until it expires.
    "ALTER TABLE keys ADD COLUMN replaces TEXT",
)
