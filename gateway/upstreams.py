"""What answers calls, built from the settings: backends with their connections, routes to them, and prices.

Part of the composition root: gateway.app calls it, and its stack closes what is opened here.
"""

import asyncio
import time
from contextlib import AsyncExitStack

import msgspec

from gateway.backends.http import Address, HttpBackend
from gateway.backends.in_process import Local, LocalDialect, LocalEmbeddings, SandboxBackend
from gateway.backends.interface import Backend
from gateway.config.settings import ProviderSettings, Settings
from gateway.pipeline.route import SANDBOX, RouteTable
from providers.anthropic.dialect import AnthropicDialect
from providers.catalogue import Catalogue
from providers.openai.dialect import OpenAiDialect
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable, load_prices
from providers.registry import find_provider
from providers.sandbox.model import Sandbox
from providers.transport.origin import Timeouts, parse_base_url
from providers.transport.pool import Transport
from providers.wire import Dialect

NS_PER_S = 1_000_000_000


def wall_clock_s() -> int:
    """Seconds since the epoch."""
    return time.time_ns() // NS_PER_S


def build_backends(settings: Settings, loop: asyncio.AbstractEventLoop, stack: AsyncExitStack) -> dict[str, Backend]:
    """One backend a configured provider, each with connections of its own: one that hangs starves no other."""
    plain = OpenAiDialect(
        endpoints=frozenset({"chat/completions", "completions", "embeddings"}),
        quirks=(),
        asks_stream_usage=False,
        now_s=wall_clock_s,
    )
    sandbox = Sandbox(time.time_ns)
    backends: dict[str, Backend] = {SANDBOX: SandboxBackend(sandbox, plain, loop)}
    for name, provider in settings.providers.items():
        if provider.dialect == "local":
            local = LocalEmbeddings(name, open_local, LocalDialect(plain))
            stack.push_async_callback(local.close)
            backends[name] = local
        elif provider.dialect == "sandbox":
            backends[name] = SandboxBackend(sandbox, plain, loop, name=name)
        else:
            transport = Transport(max_connections_per_origin=provider.max_connections)
            stack.push_async_callback(transport.close)
            backends[name] = _http_backend(name, provider, settings, transport)
    return backends


def open_local() -> Local:
    """Load the bundled embedding model's parts."""
    # numpy alone takes a tenth of a second and 20 MB, which a gateway that embeds nothing never needs.
    from providers.local.backend import LocalBackend  # noqa: PLC0415
    from providers.local.queue import EmbeddingQueue  # noqa: PLC0415
    from providers.local.transformer import open_embedder  # noqa: PLC0415

    return LocalBackend(EmbeddingQueue(open_embedder()))


def _http_backend(name: str, provider: ProviderSettings, settings: Settings, transport: Transport) -> HttpBackend:
    row = find_provider(name, provider.dialect, provider.base_url or None)
    origin, path_prefix = parse_base_url(provider.base_url or row.base_url)
    dialect: Dialect = (
        AnthropicDialect(now_s=wall_clock_s)
        if provider.dialect == "anthropic"
        else OpenAiDialect(
            endpoints=row.endpoints,
            quirks=row.quirks,
            asks_stream_usage=provider.stream_usage,
            now_s=wall_clock_s,
        )
    )
    headers = {header: value.reveal() for header, value in provider.headers.items()}
    if provider.api_key:
        secret = provider.api_key.reveal()
        headers |= {"x-api-key": secret} if row.auth == "x-api-key" else {"authorization": f"Bearer {secret}"}
    cancels = provider.cancel_stops_billing
    address = Address(
        origin=origin,
        path_prefix=path_prefix,
        headers=headers,
        timeouts=msgspec.convert(msgspec.to_builtins(settings.timeouts), Timeouts),
        max_reply_bytes=settings.server.max_reply_bytes,
        cancel_stops_billing=row.cancel_stops_billing if cancels is None else cancels,
        cancel_models=row.cancel_models if cancels is None else (),
    )
    return HttpBackend(name, dialect, transport, address)


def build_routes(settings: Settings, catalogue: Catalogue, backends: dict[str, Backend]) -> RouteTable:
    """Aliases, the providers' own lists and the catalogue."""
    return RouteTable(
        backends=backends,
        aliases={
            model.name: tuple((target.provider, target.model) for target in model.targets) for model in settings.models
        },
        served={name: provider.models for name, provider in settings.providers.items() if provider.models},
        catalogue=catalogue,
        breaker=settings.breaker,
    )


def build_prices(settings: Settings, catalogue: Catalogue) -> PriceTable:
    """The bundled table with the operator's own prices over it; theirs may use any name that callers use."""
    rows = [msgspec.convert(msgspec.to_builtins(price), PriceRow) for price in settings.prices]
    return load_prices(
        [msgspec.structs.replace(row, model=catalogue.upstream(row.provider, row.model)) for row in rows]
    )
