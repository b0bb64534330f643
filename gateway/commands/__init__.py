"""What the verbs of the command line do, a noun a file; each works on the database that a running server shares."""
