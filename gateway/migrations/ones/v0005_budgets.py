"""Schema 5: budgets, what each scope has spent by quarter hours, other movements of money, and the outbox of events.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    # A deleted one stays as a row, from which processes learn that it is gone.
    """
    CREATE TABLE budgets (
        budget_id TEXT PRIMARY KEY,
        account_id TEXT,
        kind TEXT NOT NULL,
        scope TEXT NOT NULL,
        scope_id TEXT NOT NULL,
        span TEXT NOT NULL,
        limit_pusd BIGINT NOT NULL,
        action TEXT NOT NULL,
        thresholds TEXT NOT NULL,
        created_ns BIGINT NOT NULL,
        deleted_ns BIGINT,
        revision BIGINT NOT NULL
    )
    """,
    "CREATE INDEX budgets_by_revision ON budgets (revision)",
    "CREATE INDEX budgets_by_account ON budgets (account_id)",
    "CREATE UNIQUE INDEX budgets_credits ON budgets (account_id) WHERE kind = 'credits' AND deleted_ns IS NULL",
    "INSERT INTO revisions (name, value) VALUES ('budgets', 0)",
    # Written in the transaction that stores the usage rows. A quarter of an hour, because the offset of every time zone
    # is a multiple of it.
    """
    CREATE TABLE spend (
        scope TEXT NOT NULL,
        scope_id TEXT NOT NULL,
        slot BIGINT NOT NULL,
        pusd BIGINT NOT NULL,
        PRIMARY KEY (scope, scope_id, slot)
    ){without_rowid}
    """,
    """
    INSERT INTO spend (scope, scope_id, slot, pusd)
    SELECT 'project', project_id, created_ns / 900000000000, SUM(cost_pusd) FROM usage
    WHERE cost_pusd > 0 GROUP BY project_id, created_ns / 900000000000
    """,
    """
    INSERT INTO spend (scope, scope_id, slot, pusd)
    SELECT 'key', key_id, created_ns / 900000000000, SUM(cost_pusd) FROM usage
    WHERE cost_pusd > 0 GROUP BY key_id, created_ns / 900000000000
    """,
    """
    INSERT INTO spend (scope, scope_id, slot, pusd)
    SELECT 'account', projects.account_id, usage.created_ns / 900000000000, SUM(usage.cost_pusd) FROM usage
    JOIN projects ON projects.project_id = usage.project_id
    WHERE usage.cost_pusd > 0 AND projects.account_id IS NOT NULL
    GROUP BY projects.account_id, usage.created_ns / 900000000000
    """,
    # Append-only: money that moved otherwise than by a call. ``span`` NULL: it counts in every window of the account.
    """
    CREATE TABLE entries (
        entry_id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        span TEXT,
        amount_pusd BIGINT NOT NULL,
        made_by TEXT,
        created_ns BIGINT NOT NULL
    )
    """,
    "CREATE INDEX entries_by_account ON entries (account_id, created_ns)",
    # The outbox: written in the transaction that made the fact true, delivered later.
    """
    CREATE TABLE events (
        event_id TEXT PRIMARY KEY,
        account_id TEXT,
        name TEXT NOT NULL,
        payload TEXT NOT NULL,
        once TEXT UNIQUE,
        created_ns BIGINT NOT NULL,
        delivered_ns BIGINT
    )
    """,
    "CREATE INDEX events_undelivered ON events (created_ns) WHERE delivered_ns IS NULL",
    # The processes that spend, where there are several; see gateway.budgets.keeping.peers.
    """
    CREATE TABLE spenders (
        process_id TEXT PRIMARY KEY,
        journal TEXT NOT NULL,
        beat BIGINT NOT NULL,
        seen_ns BIGINT NOT NULL,
        held TEXT NOT NULL
    )
    """,
    # What earlier tries of the call cost, a part of cost_pusd.
    "ALTER TABLE usage ADD COLUMN lost_pusd BIGINT NOT NULL DEFAULT 0",
)
