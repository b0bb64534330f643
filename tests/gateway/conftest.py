"""Fixtures for the tests that need a Redis: one of their own, as they also empty it."""

from tests.servers import redis_server, redis_url

__all__ = ["redis_server", "redis_url"]
