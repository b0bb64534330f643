"""Schema 11: what was asked and answered, sealed, for projects that want it kept, and for how long they do.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    "INSERT INTO revisions (name, value) VALUES ('prompts', 0)",
    # A project without a row never kept anything; retention_days NULL: it keeps nothing any more.
    """
    CREATE TABLE prompt_settings (
        project_id TEXT PRIMARY KEY,
        retention_days BIGINT,
        since_ns BIGINT NOT NULL,
        revision BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE prompts (
        request_id TEXT PRIMARY KEY,
        project_id TEXT NOT NULL,
        content {blob} NOT NULL,
        created_ns BIGINT NOT NULL
    )
    """,
    "CREATE INDEX prompts_by_project ON prompts (project_id, created_ns)",
    # The audit log is purged by age.
    "CREATE INDEX audit_log_by_age ON audit_log (created_ns)",
)
