"""The first nine steps of the schema, each in the file of its version."""
