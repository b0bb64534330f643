"""Schema 11: what a key wants of the cache, as JSON; NULL: what its project wants."""

STATEMENTS = ("ALTER TABLE keys ADD COLUMN cache TEXT",)
