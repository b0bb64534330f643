"""Schema 2: accounts, the people in them, how they sign in, and the audit log.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply. What ends in
``_folded`` is the text by which two spellings of one name are found to be the same.
"""

STATEMENTS = (
    """
    CREATE TABLE accounts (
        account_id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        created_ns BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE users (
        user_id TEXT PRIMARY KEY,
        email TEXT NOT NULL,
        email_folded TEXT NOT NULL UNIQUE,
        username TEXT,
        username_folded TEXT UNIQUE,
        full_name TEXT NOT NULL,
        is_operator BOOLEAN NOT NULL,
        password_hash TEXT NOT NULL,
        password_version BIGINT NOT NULL,
        created_ns BIGINT NOT NULL,
        last_login_ns BIGINT,
        last_account_id TEXT
    )
    """,
    """
    CREATE TABLE members (
        account_id TEXT NOT NULL REFERENCES accounts (account_id),
        user_id TEXT NOT NULL REFERENCES users (user_id),
        role TEXT NOT NULL,
        joined_ns BIGINT NOT NULL,
        PRIMARY KEY (account_id, user_id)
    )
    """,
    "CREATE INDEX members_by_user ON members (user_id, joined_ns, account_id)",
    """
    CREATE TABLE invitations (
        invitation_id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL REFERENCES accounts (account_id),
        email TEXT NOT NULL,
        email_folded TEXT NOT NULL,
        role TEXT NOT NULL,
        digest {blob} NOT NULL UNIQUE,
        invited_by TEXT NOT NULL REFERENCES users (user_id),
        created_ns BIGINT NOT NULL,
        expires_ns BIGINT NOT NULL
    )
    """,
    # One open invitation of a person to an account: the newest.
    "CREATE UNIQUE INDEX invitations_by_person ON invitations (account_id, email_folded)",
    """
    CREATE TABLE sessions (
        session_id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (user_id),
        account_id TEXT NOT NULL REFERENCES accounts (account_id),
        cookie_digest {blob} NOT NULL UNIQUE,
        created_ns BIGINT NOT NULL,
        seen_ns BIGINT NOT NULL,
        ended_ns BIGINT
    )
    """,
    "CREATE INDEX sessions_by_user ON sessions (user_id, account_id)",
    "CREATE INDEX sessions_by_start ON sessions (created_ns)",
    """
    CREATE TABLE refresh_tokens (
        digest {blob} PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
        created_ns BIGINT NOT NULL,
        expires_ns BIGINT NOT NULL,
        spent_ns BIGINT
    )
    """,
    "CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id)",
    # What may happen once in an installation's life, and who did it.
    """
    CREATE TABLE claims (
        name TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (user_id),
        created_ns BIGINT NOT NULL
    )
    """,
    # Without references: the log outlives what it tells of.
    """
    CREATE TABLE audit_log (
        audit_id TEXT PRIMARY KEY,
        account_id TEXT,
        actor_kind TEXT NOT NULL,
        actor_id TEXT,
        action TEXT NOT NULL,
        object_id TEXT NOT NULL,
        detail TEXT NOT NULL,
        origin TEXT NOT NULL,
        created_ns BIGINT NOT NULL
    )
    """,
    "CREATE INDEX audit_log_by_account ON audit_log (account_id, created_ns, audit_id)",
)
