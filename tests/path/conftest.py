"""Real servers for the tests of the whole path, and one gateway for the tests of a module."""

from sharing import answer, config, gateway, provider, quiet, shared_gateway, shared_provider

from tests.servers import postgres_databases, postgres_url, redis_server, redis_url, schema_url

__all__ = [
    "answer",
    "config",
    "gateway",
    "postgres_databases",
    "postgres_url",
    "provider",
    "quiet",
    "redis_server",
    "redis_url",
    "schema_url",
    "shared_gateway",
    "shared_provider",
]
