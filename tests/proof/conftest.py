"""Fixtures of the proofs."""

from tests.servers import postgres_url

__all__ = ["postgres_url"]
