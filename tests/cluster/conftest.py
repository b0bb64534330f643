"""Fixtures of the tests with several real processes on one Redis and one PostgreSQL."""

from tests.servers import redis_server, redis_url

__all__ = ["redis_server", "redis_url"]
