"""Real servers for the tests of the whole path."""

from tests.servers import postgres_databases, postgres_url, redis_server, redis_url, schema_url

__all__ = ["postgres_databases", "postgres_url", "redis_server", "redis_url", "schema_url"]
