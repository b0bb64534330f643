"""Schema 14: a key that another key made counts in the limits that its maker has."""

# By the limit's name, the key in whose counter it counts, as JSON; NULL: in its own.
STATEMENTS = ("ALTER TABLE keys ADD COLUMN limits_in TEXT",)
