"""Atomic counters for rate limits, concurrency and money holds: in one process, or shared through Redis."""
