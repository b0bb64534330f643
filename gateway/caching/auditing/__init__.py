"""Calls of the gateway's own that check served answers, and the judge of what they leave in doubt."""
