"""Proves the operator's endpoints by their documents' words."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from raw_asking import Transport

from gateway.surfaces import ops
from gateway.surfaces.ops import OpsParts, build_ops_router, is_allowed, parse_networks, run_checks
from gateway.telemetry import Metrics
from gateway.web.document import build_openapi_config

NOW_NS = 1_736_935_200_123_456_789
NOW = "2025-01-15T10:00:00Z"
PARTS = OpsParts(
    metrics=Metrics(version="1.2.3"),
    checks={},
    allow=parse_networks(["127.0.0.0/8"]),
    now_ns=lambda: NOW_NS,
    ticks_ns=iter(range(0, 10**12, 2_500_000)).__next__,
)
Checks = Mapping[str, Callable[[], Awaitable[None]]]


async def answer() -> None:
    """A part that is well."""


async def refuse() -> None:
    """A part that fails with an error that names its address."""
    raise ConnectionRefusedError("postgresql://watch:secret@db")


async def hang() -> None:
    """A part that never answers."""
    await asyncio.Event().wait()


def make_app(**changes: Any) -> Litestar:
    return Litestar(
        [build_ops_router(msgspec.structs.replace(PARTS, **changes))],
        openapi_config=build_openapi_config(version="1.2.3"),
        logging_config=None,
    )


@pytest.fixture(scope="module")
def app() -> Litestar:
    return make_app()


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[AsyncTestClient[Litestar]]:
    async with AsyncTestClient(app, base_url="http://llm.example:8080") as client:
        yield client


async def get(path: str, *, headers: dict[str, str] | None = None, **changes: Any) -> Any:
    async with AsyncTestClient(make_app(**changes)) as client:
        return await client.get(path, headers=headers or {})


async def test_health_is_both_documents_union() -> None:
    """Row A44's checks and row W21's version in one reply."""
    reply = await get("/health", checks={"database": answer, "redis": answer})
    assert reply.status_code == 200
    assert reply.json() == {
        "status": "ok",
        "version": "1.0.0",
        "timestamp": NOW,
        "checks": {
            "database": {"healthy": True, "response_time_ms": 2},
            "redis": {"healthy": True, "response_time_ms": 2},
        },
    }


async def test_health_names_redis_where_none_is_configured() -> None:
    """Row A44 has both parts; one that is not there is not ill."""
    reply = await get("/health", checks={"database": answer})
    assert reply.status_code == 200
    assert reply.json()["checks"]["redis"] == {"healthy": True, "response_time_ms": 0, "configured": False}


async def test_health_is_degraded_where_a_part_fails() -> None:
    """A load balancer sees 503, a reader sees which part, and nobody sees an address."""
    reply = await get("/health", checks={"database": refuse, "redis": answer})
    assert (reply.status_code, reply.json()["status"]) == (503, "degraded")
    assert [check["healthy"] for check in reply.json()["checks"].values()] == [False, True]
    assert "secret" not in reply.text


async def test_health_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that hangs is unhealthy after the timeout."""
    monkeypatch.setattr(ops, "CHECK_TIMEOUT_S", 0.01)
    checks = await run_checks({"database": hang, "redis": answer}, lambda: 0)
    assert [check.healthy for check in checks.values()] == [False, True]


async def test_a_failed_check_is_logged_by_its_type_only(caplog: pytest.LogCaptureFixture) -> None:
    """The text of a driver's error may hold a password."""
    await run_checks({"database": refuse}, lambda: 0)
    assert caplog.messages == ["health check of database failed: ConnectionRefusedError"]


async def test_metrics_are_prometheus_text() -> None:
    """Row A45."""
    reply = await scrape()
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE watchllm_requests_total counter" in reply.text


async def scrape(peer: str = "127.0.0.1", **headers: str) -> Any:
    """Ask for /metrics from an address of choice, which a test client cannot do."""
    transport = Transport(make_app(), peer)
    return await transport.get("/metrics", headers)


@pytest.mark.parametrize("peer", ["203.0.113.9", "", "2001:db8::1"])
async def test_metrics_are_not_for_strangers(peer: str) -> None:
    """Only the socket's own address counts; a header that claims another changes nothing."""
    reply = await scrape(peer, **{"x-forwarded-for": "127.0.0.1", "forwarded": "for=127.0.0.1"})
    assert reply.status_code == 403
    assert '"code":"insufficient_scope"' in reply.text
    assert "watchllm_requests_total" not in reply.text


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("127.0.0.1", True),
        ("::ffff:127.0.0.1", True),
        ("10.1.2.3", True),
        ("fe80::1%eth0", False),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("testclient", False),
        ("", False),
    ],
)
def test_an_address_is_judged_by_its_network(peer: str, allowed: bool) -> None:
    """IPv4 in IPv6's clothes is IPv4; what is no address is a stranger."""
    assert is_allowed(peer, parse_networks(["127.0.0.0/8", "10.0.0.0/8", "::1/128"])) == allowed
