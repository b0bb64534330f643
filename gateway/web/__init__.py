"""The pages that a browser gets."""
