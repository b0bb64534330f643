"""Schema 17: how often an account's zone was changed, and what processes hold by counters of a zone that is over."""

STATEMENTS = (
    # Names the counters of the account's budgets: each change begins them anew.
    "ALTER TABLE accounts ADD COLUMN zone_changes BIGINT NOT NULL DEFAULT 0",
    # As JSON, by the counter that each call's hold belongs to since, the holds with their amounts.
    "ALTER TABLE spenders ADD COLUMN moved TEXT NOT NULL DEFAULT '{{}}'",
)
