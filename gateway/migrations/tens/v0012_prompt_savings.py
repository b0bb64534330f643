"""Schema 12: a correction also keeps by how much it changes what the provider's own prompt cache saved."""

STATEMENTS = ("ALTER TABLE corrections ADD COLUMN prompt_saved_delta_pusd BIGINT NOT NULL DEFAULT 0",)
