"""Answers that are kept and given again: whose, for how long, and which calls share one that is under way."""
