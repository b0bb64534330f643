"""The tries of a call: where it is on its way, and its first one, for which no path has to wait."""
