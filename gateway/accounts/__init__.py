"""Projects and their keys: made, found, revoked."""
