"""Schema 3: the credentials with which projects, or the operator for all of them, call providers.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    # A deleted one stays as a row without its secret, from which caches learn that it is gone.
    """
    CREATE TABLE credentials (
        credential_id TEXT PRIMARY KEY,
        project_id TEXT REFERENCES projects (project_id),
        provider TEXT NOT NULL,
        name TEXT NOT NULL,
        secret {blob},
        display TEXT NOT NULL,
        base_url TEXT,
        created_ns BIGINT NOT NULL,
        last_used_ns BIGINT,
        disabled_ns BIGINT,
        deleted_ns BIGINT,
        revision BIGINT NOT NULL,
        CHECK ((secret IS NULL) = (deleted_ns IS NOT NULL))
    )
    """,
    # Two NULLs are never equal, so the operator's own need an index of their own.
    """
    CREATE UNIQUE INDEX credentials_by_operator ON credentials (provider)
    WHERE project_id IS NULL AND disabled_ns IS NULL AND deleted_ns IS NULL
    """,
    """
    CREATE UNIQUE INDEX credentials_by_project ON credentials (project_id, provider)
    WHERE project_id IS NOT NULL AND disabled_ns IS NULL AND deleted_ns IS NULL
    """,
    "CREATE INDEX credentials_by_revision ON credentials (revision)",
    # The version of the key-encryption key that new secrets are sealed with.
    "INSERT INTO revisions (name, value) VALUES ('credentials', 0), ('vault', 1)",
)
