"""The counters of both kinds, each test with its own."""

import os
from collections.abc import AsyncIterator

import pytest

from gateway.counters.interface import Counters
from gateway.counters.link import LinkLimits
from gateway.counters.memory import MemoryCounters
from gateway.counters.shared import SharedCounters

# So patient that a busy machine is no fault.
PATIENT = LinkLimits(timeout_ms=20_000, slow_ms=10_000)


def open_shared(redis_url: str, namespace: str | None = None) -> SharedCounters:
    """Open counters in Redis, of a namespace that nobody else uses."""
    return SharedCounters.open(redis_url, namespace or os.urandom(8).hex(), PATIENT)


@pytest.fixture
def namespace() -> str:
    """What the keys of one test begin with."""
    return os.urandom(8).hex()


@pytest.fixture
async def shared(redis_url: str, namespace: str) -> AsyncIterator[SharedCounters]:
    """Counters in a real Redis."""
    opened = open_shared(redis_url, namespace)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "redis"])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[Counters]:
    """Empty counters of each kind."""
    opened: Counters
    if request.param == "memory":
        opened = MemoryCounters()
    else:
        opened = open_shared(request.getfixturevalue("redis_url"))
    yield opened
    await opened.close()
