"""People: how they sign in, which accounts they belong to, and what they may there."""
