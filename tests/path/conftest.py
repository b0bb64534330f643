"""Real servers for the tests of the whole path, and one gateway for the tests of a module."""

from sharing import answer, config, gateway, provider, quiet, shared_gateway, shared_provider

from tests.servers import redis_server, redis_url

__all__ = [
    "answer",
    "config",
    "gateway",
    "provider",
    "quiet",
    "redis_server",
    "redis_url",
    "shared_gateway",
    "shared_provider",
]
