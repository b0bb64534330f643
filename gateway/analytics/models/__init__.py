"""Models and what they cost: calls without a price, and what another model would have cost."""
