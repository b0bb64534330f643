"""Fixtures for the tests that need a database or another real server."""

from tests.servers import (
    database,
    database_url,
    empty_url,
    postgres_databases,
    postgres_url,
    redis_server,
    redis_url,
    schema_url,
)

__all__ = [
    "database",
    "database_url",
    "empty_url",
    "postgres_databases",
    "postgres_url",
    "redis_server",
    "redis_url",
    "schema_url",
]
