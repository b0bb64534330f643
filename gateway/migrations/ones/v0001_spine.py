"""Schema 1: projects, their keys, the revisions that caches poll, and the usage rows.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    """
    CREATE TABLE projects (
        project_id TEXT PRIMARY KEY,
        account_id TEXT,
        name TEXT NOT NULL,
        provider TEXT,
        created_ns BIGINT NOT NULL
    )
    """,
    # Two NULLs are never equal, so an operator's projects, which have no account, need an index of their own.
    "CREATE UNIQUE INDEX projects_by_operator_name ON projects (name) WHERE account_id IS NULL",
    "CREATE UNIQUE INDEX projects_by_account_name ON projects (account_id, name) WHERE account_id IS NOT NULL",
    """
    CREATE TABLE keys (
        key_id TEXT PRIMARY KEY,
        project_id TEXT NOT NULL REFERENCES projects (project_id),
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        is_managing BOOLEAN NOT NULL,
        display TEXT NOT NULL,
        digest {blob} NOT NULL UNIQUE,
        scopes TEXT NOT NULL,
        allowed_models TEXT,
        expires_ns BIGINT,
        revoked_ns BIGINT,
        created_ns BIGINT NOT NULL,
        last_used_ns BIGINT,
        revision BIGINT NOT NULL
    )
    """,
    "CREATE INDEX keys_by_revision ON keys (revision)",
    "CREATE INDEX keys_by_project ON keys (project_id)",
    "CREATE TABLE revisions (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
    "INSERT INTO revisions (name, value) VALUES ('keys', 0), ('bootstrap', 0)",
    """
    CREATE TABLE usage (
        request_id TEXT PRIMARY KEY,
        created_ns BIGINT NOT NULL,
        project_id TEXT NOT NULL,
        key_id TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        upstream_model TEXT NOT NULL,
        upstream_request_id TEXT NOT NULL,
        status TEXT NOT NULL,
        http_status BIGINT NOT NULL,
        error_code TEXT NOT NULL,
        is_stream BOOLEAN NOT NULL,
        is_cached BOOLEAN NOT NULL,
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
        is_estimated BOOLEAN NOT NULL,
        is_anomalous BOOLEAN NOT NULL,
        tokens_saved BIGINT NOT NULL,
        cost_pusd BIGINT NOT NULL,
        saved_pusd BIGINT NOT NULL,
        cost_basis TEXT NOT NULL,
        price_id TEXT NOT NULL,
        latency_ms BIGINT NOT NULL,
        first_byte_ms BIGINT NOT NULL,
        overhead_us BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        service_tier TEXT NOT NULL,
        tags TEXT NOT NULL,
        session TEXT NOT NULL
    ){without_rowid}
    """,
    # The id makes the order of rows of one moment total, so that pages neither repeat nor skip one.
    "CREATE INDEX usage_by_project ON usage (project_id, created_ns, request_id)",
)
