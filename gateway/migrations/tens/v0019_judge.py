"""Schema 19: the model that a project has judge doubtful pairs of answers, and which step judged each.

Words in braces differ between SQLite and PostgreSQL and are filled in by gateway.migrations.apply.
"""

STATEMENTS = (
    "ALTER TABLE cache_settings ADD COLUMN semantic_judge_model TEXT",
    "ALTER TABLE cache_decisions ADD COLUMN judged_by TEXT NOT NULL DEFAULT ''",
)
