"""The steps of the schema from the tenth to the nineteenth, each in the file of its version."""
