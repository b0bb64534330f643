"""Projects and their keys as their owners handle them: made, listed, changed, rotated, revoked."""
