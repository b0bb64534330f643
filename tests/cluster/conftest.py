"""Fixtures of the tests with several real processes on one Redis and one PostgreSQL."""

from tests.servers import postgres_databases, postgres_url, redis_server, redis_url, schema_url

__all__ = ["postgres_databases", "postgres_url", "redis_server", "redis_url", "schema_url"]
