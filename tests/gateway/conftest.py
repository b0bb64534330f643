"""Fixtures for the tests that need a database or another real server."""

from tests.servers import database, database_url, postgres_url, redis_url

__all__ = ["database", "database_url", "postgres_url", "redis_url"]
