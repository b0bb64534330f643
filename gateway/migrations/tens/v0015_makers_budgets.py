"""Schema 15: what a key spends that another key made counts in its maker's budgets too."""

# The keys that it comes from, its maker first, each the first of its line of rotations, as JSON. Keys that were there
# before count for themselves alone, as they did.
STATEMENTS = ("ALTER TABLE keys ADD COLUMN spends_in TEXT NOT NULL DEFAULT '[]'",)
