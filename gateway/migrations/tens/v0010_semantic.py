"""Schema 10: the semantic layer's questions with their answers, what it learnt and decided; keys' wishes.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    "INSERT INTO revisions (name, value) VALUES ('semantic', 0)",
    "ALTER TABLE cache_settings ADD COLUMN prompts BOOLEAN",
    # What a key wants of the cache, as JSON; NULL: what its project wants.
    "ALTER TABLE keys ADD COLUMN cache TEXT",
    "CREATE INDEX usage_by_layer ON usage (project_id, cache_layer, created_ns) WHERE cache_layer <> ''",
    # What the index is rebuilt from; the answers lie apart, so that this is read in one sweep.
    """
    CREATE TABLE cache_entries (
        number BIGINT PRIMARY KEY,
        entry_id TEXT NOT NULL,
        project_id TEXT NOT NULL,
        scope TEXT NOT NULL,
        partition_key {blob} NOT NULL,
        exact_key {blob} NOT NULL UNIQUE,
        packed {blob} NOT NULL,
        group_number BIGINT NOT NULL,
        right_count BIGINT NOT NULL,
        wrong_count BIGINT NOT NULL,
        model TEXT NOT NULL,
        tags TEXT NOT NULL,
        created_ns BIGINT NOT NULL,
        expires_ns BIGINT NOT NULL,
        revision BIGINT NOT NULL
    ){without_rowid}
    """,
    "CREATE INDEX cache_entries_by_project ON cache_entries (project_id, entry_id)",
    "CREATE INDEX cache_entries_by_revision ON cache_entries (revision)",
    "CREATE INDEX cache_entries_by_expiry ON cache_entries (expires_ns)",
    """
    CREATE TABLE cache_answers (
        number BIGINT PRIMARY KEY REFERENCES cache_entries (number) ON DELETE CASCADE,
        answer {blob} NOT NULL
    ){without_rowid}
    """,
    """
    CREATE TABLE cache_scopes (
        scope TEXT PRIMARY KEY,
        project_id TEXT NOT NULL,
        state {blob} NOT NULL,
        revision BIGINT NOT NULL,
        saved_ns BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE cache_observations (
        revision BIGINT NOT NULL,
        process_id TEXT NOT NULL,
        scope TEXT NOT NULL,
        seen {blob} NOT NULL,
        made_ns BIGINT NOT NULL,
        PRIMARY KEY (revision, scope)
    ){without_rowid}
    """,
    """
    CREATE TABLE cache_decisions (
        request_id TEXT PRIMARY KEY,
        project_id TEXT NOT NULL,
        decision TEXT NOT NULL,
        entry_id TEXT NOT NULL,
        similarity DOUBLE PRECISION NOT NULL,
        score DOUBLE PRECISION NOT NULL,
        threshold DOUBLE PRECISION NOT NULL,
        guards TEXT NOT NULL,
        neighbours TEXT NOT NULL,
        question TEXT NOT NULL,
        is_right BOOLEAN,
        created_ns BIGINT NOT NULL
    ){without_rowid}
    """,
    "CREATE INDEX cache_decisions_by_project ON cache_decisions (project_id, request_id)",
)
