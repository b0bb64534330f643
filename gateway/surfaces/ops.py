"""The operator's endpoints: /health and /metrics.

Failure behavior: a check that fails or takes longer than CHECK_TIMEOUT_S makes /health answer 503 and names the part,
never its address; nothing here touches a provider, so probing costs nothing.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from gateway.envelope import Envelope, envelope
from gateway.errors import Fault
from gateway.surfaces.guards import anybody
from gateway.surfaces.pages import API_VERSION, timestamp
from gateway.telemetry import Metrics, render

CHECK_TIMEOUT_S = 1.0
METRICS_TYPE = "text/plain; version=0.0.4"
_TAG = "Operations"
_NS_PER_MS = 1_000_000
_MS_PER_S = 1_000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
AnyRequest = Request[Any, Any, Any]
_log = logging.getLogger(__name__)


class OpsParts(msgspec.Struct, frozen=True, kw_only=True):
    """What these endpoints need."""

    metrics: Metrics
    # Name of a part ("database", "redis") and a call that raises when it does not answer.
    checks: Mapping[str, Callable[[], Awaitable[None]]]
    # Networks whose sockets may read /metrics.
    allow: tuple[Network, ...]
    # Wall clock and monotonic clock, ns.
    now_ns: Callable[[], int]
    ticks_ns: Callable[[], int]


# The framework would otherwise convert the parts, clocks and all, as if they came over the wire.
Ops = NamedDependency[SkipValidation[OpsParts]]


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one part is; ``configured`` is there only when it is false."""

    healthy: bool
    response_time_ms: int
    configured: bool = True


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the gateway and what it stands on answer."""

    # "ok", or "degraded" with status 503.
    status: str
    version: str
    timestamp: str
    checks: dict[str, Check]


# Row A44 names both parts whatever is configured.
_ABSENT = {name: Check(healthy=True, response_time_ms=0, configured=False) for name in ("database", "redis")}


@get(
    "/health",
    guards=[anybody],
    tags=[_TAG],
    summary="Tell whether the gateway is healthy",
    responses={
        503: ResponseSpec(Health, description="A part does not answer; status is `degraded`.", generate_examples=False)
    },
)
async def show_health(ops: Ops) -> Response[Health]:
    """Ask the database and Redis; each has one second. A part that is not configured counts as healthy."""
    checks = {**_ABSENT, **await run_checks(ops.checks, ops.ticks_ns)}
    healthy = all(check.healthy for check in checks.values())
    health = Health(
        status="ok" if healthy else "degraded", version=API_VERSION, timestamp=timestamp(ops.now_ns()), checks=checks
    )
    return Response(health, status_code=200 if healthy else 503, headers={"cache-control": "no-store"})


@get(
    "/metrics",
    guards=[anybody],
    tags=[_TAG],
    summary="Export metrics for Prometheus",
    media_type=MediaType.TEXT,
    responses={
        403: ResponseSpec(Envelope, description="The address is not in `[ops] allow`.", generate_examples=False)
    },
)
async def show_metrics(request: AnyRequest, ops: Ops) -> Response[bytes]:
    """Only for sockets from the networks of `[ops] allow`; forwarded addresses are not believed."""
    peer = request.client.host if request.client else ""
    if not is_allowed(peer, ops.allow):
        fault = Fault("insufficient_scope", "this address may not read /metrics: add its network to [ops] allow")
        return Response(envelope(fault), status_code=fault.status, media_type=MediaType.JSON)
    metrics = ops.metrics if ops.metrics.gather is None else await ops.metrics.gather()
    return Response(render(metrics), media_type=METRICS_TYPE)


OPS_ROUTES = (show_health, show_metrics)


def build_ops_router(parts: OpsParts) -> Router:
    """Bind the endpoints to their parts."""

    def provide_ops() -> OpsParts:
        return parts

    return Router(
        path="/",
        route_handlers=[*OPS_ROUTES],
        dependencies={"ops": Provide(provide_ops, sync_to_thread=False)},
    )


def parse_networks(networks: Sequence[str]) -> tuple[Network, ...]:
    """Read the networks of ``[ops] allow``, which the configuration has checked."""
    return tuple(ipaddress.ip_network(network) for network in networks)


async def run_checks(
    checks: Mapping[str, Callable[[], Awaitable[None]]], ticks_ns: Callable[[], int]
) -> dict[str, Check]:
    """Run all checks at once, each under its own timeout, and time them."""
    results = await asyncio.gather(*(_timed(check, ticks_ns) for check in checks.values()), return_exceptions=True)
    return {name: _judge(name, result) for name, result in zip(checks, results, strict=True)}


async def _timed(check: Callable[[], Awaitable[None]], ticks_ns: Callable[[], int]) -> int:
    started_ns = ticks_ns()
    async with asyncio.timeout(CHECK_TIMEOUT_S):
        await check()
    return (ticks_ns() - started_ns) // _NS_PER_MS


def _judge(name: str, result: int | BaseException) -> Check:
    if isinstance(result, int):
        return Check(healthy=True, response_time_ms=result)
    # The error's text may name an address or a password; its type says enough.
    _log.warning("health check of %s failed: %s", name, type(result).__name__)
    return Check(
        healthy=False, response_time_ms=int(CHECK_TIMEOUT_S * _MS_PER_S) if isinstance(result, TimeoutError) else 0
    )


def is_allowed(peer: str, networks: Sequence[Network]) -> bool:
    """Tell whether a socket's address lies in one of the networks; what is no address (a unix socket) does not."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    plain = (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address
    return any(plain in network for network in networks)
