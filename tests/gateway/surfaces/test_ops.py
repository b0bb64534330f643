"""Proves the operator's endpoints by their documents' words."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from gateway.surfaces import ops
from gateway.surfaces.ops import OpsParts, build_ops_router, is_allowed, parse_networks, run_checks
from gateway.telemetry import Metrics
from gateway.web.document import build_openapi_config

NOW_NS = 1_736_935_200_123_456_789
NOW = "2025-01-15T10:00:00Z"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PARTS = OpsParts(
    version="1.2.3",
    metrics=Metrics(version="1.2.3"),
    checks={},
    allow=parse_networks(["127.0.0.0/8"]),
    public_url="",
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


class Reply(msgspec.Struct):
    """A reply as far as these tests look at it."""

    status_code: int
    headers: dict[str, str]
    text: str


class Transport:
    """Calls an application with the peer's address in the scope, as the server would put it."""

    def __init__(self, app: Litestar, peer: str) -> None:
        self.app = app
        self.peer = peer

    async def get(self, path: str, headers: dict[str, str]) -> Reply:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": (self.peer, 1) if self.peer else None,
            "server": ("127.0.0.1", 80),
            "state": {},
            "extensions": {},
        }
        await self.app(scope, receive, send)  # type: ignore[arg-type] # a plain scope is what a server passes
        head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:]).decode())


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


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/json", "application/json, text/html", "text/html;q=0.1, */*"]
)
async def test_a_program_gets_the_greeting(client: AsyncTestClient[Litestar], accept: str) -> None:
    """Row S18, literally."""
    reply = await client.get("/", headers={"accept": accept})
    assert reply.json() == {
        "status": "healthy",
        "message": "Welcome to ServeML API",
        "version": "1.0.0",
        "timestamp": NOW,
    }


async def test_a_browser_gets_the_start_page(client: AsyncTestClient[Litestar]) -> None:
    """It names the base URL as the browser knows the gateway, and links to the reference."""
    reply = await client.get("/", headers={"accept": BROWSER})
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "<code>http://llm.example:8080/v1</code>" in reply.text
    assert 'href="/docs"' in reply.text
    assert reply.headers["vary"] == "accept, host"


async def test_the_configured_address_wins() -> None:
    """Behind a proxy that ends TLS, the Host header does not tell the scheme."""
    reply = await get("/", headers={"accept": BROWSER}, public_url="https://llm.example.org/")
    assert "<code>https://llm.example.org/v1</code>" in reply.text


@pytest.mark.parametrize("host", ["a<script>", "a b", "a@b", 'a"b', "a/b"])
async def test_a_strange_host_is_not_shown(host: str) -> None:
    """The page never repeats what no address can be."""
    reply = await Transport(make_app(), "127.0.0.1").get("/", {"host": host, "accept": BROWSER})
    assert host not in reply.text
    assert "<script" not in reply.text


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_may_load_nothing(client: AsyncTestClient[Litestar], path: str) -> None:
    """It works offline, and an injected script would not run."""
    reply = await client.get(path, headers={"accept": BROWSER})
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not any(word in reply.text for word in ("<script", "@import", 'style="', "onclick", "<iframe"))


async def test_the_reference_shows_every_endpoint(client: AsyncTestClient[Litestar]) -> None:
    """Row D22: endpoints of the framework and the hand-written ones."""
    text = (await client.get("/docs")).text
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/health", "/metrics"):
        assert f">{path}</a>" in text


async def test_the_document_is_served(client: AsyncTestClient[Litestar]) -> None:
    """interface.md: the OpenAPI document is at /schema/openapi.json."""
    document = (await client.get("/schema/openapi.json")).json()
    assert {"/health", "/v1/chat/completions"} <= document["paths"].keys()
    assert document["openapi"].startswith("3.1")
