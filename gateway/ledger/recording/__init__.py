"""From a call's end to the database: the journal that makes rows durable at once, and what folds them in batches."""
