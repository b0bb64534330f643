"""Rate limits and quotas: the plans' table, what governs a caller, and what a refused one is told."""
