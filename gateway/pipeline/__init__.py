"""The path of a request: one room a file, in the order of run.py."""
