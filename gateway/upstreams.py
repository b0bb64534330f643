"""What answers calls, built from the settings: backends with their connections, routes to them, and prices.

A built-in provider without a key has no backend and can still be called by projects that have a credential for it.
Part of the composition root: gateway.app calls it, and its stack closes what is opened here.
"""

import asyncio
import importlib
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import msgspec

from gateway.accounts.credential_directory import ActiveCredential
from gateway.backends.http import Address, HttpBackend
from gateway.backends.in_process import Local, LocalDialect, LocalEmbeddings, SandboxBackend
from gateway.backends.interface import Backend
from gateway.backends.purses import Opening
from gateway.caching.answers import Answers
from gateway.caching.auditing.audits import Audits
from gateway.caching.auditing.judge import Judge
from gateway.caching.caching import Caching
from gateway.caching.directory import CacheDirectory
from gateway.caching.semantic.handle import Semantics
from gateway.caching.semantic.interface import Layer
from gateway.caching.shared import SharedAnswers
from gateway.config.settings import ProviderSettings, Settings
from gateway.db import Database
from gateway.ids import new_id
from gateway.ledger.recording.recorder import Recorder
from gateway.pipeline.route import SANDBOX, RouteTable, explain_unknown
from gateway.pipeline.services import Services
from gateway.server.exchange import MetricsExchange
from gateway.surfaces.proxy.own_calls import OwnCalls
from gateway.telemetry import Metrics
from providers.anthropic.dialect import AnthropicDialect
from providers.catalogue import Catalogue
from providers.errors import Withheld
from providers.local.choice import choose_weights
from providers.openai.dialect import OpenAiDialect
from providers.pricing.price_rows import PriceRow
from providers.pricing.prices import PriceTable, load_prices, parse_usd
from providers.registry import PROVIDERS, ProviderRow, find_provider
from providers.sandbox.model import Sandbox
from providers.transport.address_guard import AddressGuard
from providers.transport.origin import Timeouts, parse_base_url
from providers.transport.pool import Transport
from providers.wire import Dialect

NS_PER_S = 1_000_000_000
_log = logging.getLogger(__name__)
# They carry the credential, so another one's must not stand beside it.
CREDENTIAL_HEADERS = frozenset({"authorization", "x-api-key", "api-key"})


class Upstreams(msgspec.Struct, frozen=True, kw_only=True):
    """By the provider's name: what is configured to be called, and what can be called with a credential."""

    backends: dict[str, Backend]
    openings: dict[str, Opening]
    # The bundled model, for the gateway itself; it is loaded by the first text.
    embed: Callable[..., Awaitable[Any]]


def wall_clock_s() -> int:
    """Seconds since the epoch."""
    return time.time_ns() // NS_PER_S


def build_upstreams(
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    stack: AsyncExitStack,
    guard: AddressGuard,
    recorder: Recorder,
) -> Upstreams:
    """One backend a configured provider, each with connections of its own: one that hangs starves no other.

    Nothing leaves before the journal has the holds for it.
    """

    def keep_holds() -> Withheld | None:
        full = recorder.write_noted()
        return None if full is None else Withheld(str(full))

    if choose_weights() is not None:
        # Ten seconds and more on a machine with a device, which its first call shall not wait for.
        loop.run_in_executor(None, _import_transformers)
    plain = OpenAiDialect(
        endpoints=frozenset({"chat/completions", "completions", "embeddings"}),
        quirks=(),
        asks_stream_usage=False,
        now_s=wall_clock_s,
    )
    sandbox = Sandbox(time.time_ns)
    backends: dict[str, Backend] = {SANDBOX: SandboxBackend(sandbox, plain, loop)}
    openings: dict[str, Opening] = {}
    guarded = _open_transport(stack, Transport(guard=guard, before=keep_holds))
    unconfigured = {name: _usual(row) for name, row in PROVIDERS.items() if name not in settings.providers}
    for name, provider in {**unconfigured, **settings.providers}.items():
        if provider.dialect == "local":
            backends[name] = _open_local(name, plain, stack)
        elif provider.dialect == "sandbox":
            backends[name] = SandboxBackend(sandbox, plain, loop, name=name)
        else:
            connections = provider.max_connections
            transport = _open_transport(stack, Transport(max_connections_per_origin=connections, before=keep_holds))
            upstream = _Upstream(name, provider, settings, transport, guarded)
            openings[name] = Opening(name=name, dialect=upstream.dialect, reach=upstream.reach)
            if name not in unconfigured:
                backends[name] = HttpBackend(name, upstream.dialect, transport, upstream.address)
    local = next((each for each in backends.values() if isinstance(each, LocalEmbeddings)), None)
    if local is None:
        local = _open_local("local", plain, stack)
    return Upstreams(backends=backends, openings=openings, embed=local.embed)


def _open_local(name: str, dialect: OpenAiDialect, stack: AsyncExitStack) -> LocalEmbeddings:
    local = LocalEmbeddings(name, open_local, LocalDialect(dialect))
    stack.push_async_callback(local.close)
    return local


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


def open_local() -> Local:
    """Load the embedding model's parts: on a CUDA device where the extra for it is installed, else on the CPU."""
    # numpy alone takes a tenth of a second and 20 MB, which a gateway that embeds nothing never needs.
    from providers.local.backend import LocalBackend  # noqa: PLC0415
    from providers.local.queue import EmbeddingQueue  # noqa: PLC0415
    from providers.local.transformer import open_embedder  # noqa: PLC0415

    return LocalBackend(EmbeddingQueue(open_embedder(folder=choose_weights())))


async def open_caching(
    settings: Settings, database: Database, upstreams: Upstreams, secret: bytes, stack: AsyncExitStack
) -> Caching:
    """The answers of this process, what projects want of them, and the semantic layer where any wants it.

    ``secret`` seals what is shared with other processes.
    """
    given = settings.cache
    answers = Answers(
        max_bytes=given.max_mb << 20,
        max_project_bytes=given.max_project_mb << 20,
        max_answer_bytes=given.max_answer_kb << 10,
    )

    async def make() -> Layer:
        # numpy and FAISS take some tenths of a second: in a thread, and only where a project wants the layer.
        open_layer = await asyncio.to_thread(_import_layer)
        return open_layer(database, answers, upstreams.embed, given, time.time_ns, judge)

    judge = Judge(Audits(database, parse_usd(given.semantic_audit_usd), time.time_ns))
    semantics = Semantics(make)
    directory = CacheDirectory(database, given, answers, semantics)
    await directory.start()
    stack.push_async_callback(semantics.close)
    stack.push_async_callback(directory.close)
    if directory.is_semantic:
        semantics.want()
    shared = share_answers(settings, answers, directory, secret, stack)
    return Caching(answers, directory, semantics, judge, shared)


def open_audits(services: Services, stack: AsyncExitStack) -> None:
    """From now on calls can be made: the judge's as well, of whose model it is told where nobody answers for it."""
    caching, routes, model = services.caching, services.routes, services.settings.cache.semantic_judge_model
    caching.judge.connect(OwnCalls(services), services.metrics.verdicts)
    stack.push_async_callback(caching.audits.close)
    if model and routes.find(model) is None:
        # Not refused: projects may come to have a key for its provider.
        _log.warning("[cache] semantic_judge_model: %s", explain_unknown(routes, model))


def share_answers(
    settings: Settings, answers: Answers, directory: CacheDirectory, secret: bytes, stack: AsyncExitStack
) -> SharedAnswers | None:
    """What processes share of their answers, where there is a Redis and room in it."""
    url, given = settings.redis_url, settings.cache
    if url is None or not given.shared_max_mb:
        return None
    # A tenth of a second, that a gateway without Redis need not wait for.
    from gateway.counters.link import LinkLimits, RedisLink  # noqa: PLC0415

    wait_ms = given.shared_max_wait_ms
    # An answer that comes in the last third of the time counts as slow.
    limits = LinkLimits(timeout_ms=wait_ms, turn_ms=wait_ms, slow_ms=wait_ms * 2 // 3)
    shared = SharedAnswers(
        RedisLink.open(url.reveal(), limits),
        RedisLink.open(url.reveal()),
        answers,
        directory.purges,
        secret,
        max_bytes=given.shared_max_mb << 20,
        now_ns=time.time_ns,
    )
    stack.push_async_callback(shared.close)
    return shared


async def open_export(
    settings: Settings, metrics: Metrics, exchange: MetricsExchange | None, stack: AsyncExitStack
) -> None:
    """Tell a collector of every call and of the metrics, where one is named."""
    if not settings.otel_endpoint:
        return
    # A gateway without a collector needs none of it.
    from gateway.otlp.encoding import Resource  # noqa: PLC0415
    from gateway.otlp.exporter import Exporter  # noqa: PLC0415

    counting = None if exchange is None else exchange.identity
    instance_id, started_ns = counting or (new_id(time.time_ns()), time.time_ns())
    exporter = Exporter(
        metrics,
        Resource(version=metrics.version, instance_id=instance_id, started_ns=started_ns),
        parse_base_url(settings.otel_endpoint),
        time.time_ns,
        save=exchange.save if exchange is not None and counting else lambda: None,
    )
    metrics.gauges["watchllm_spans_dropped_total"] = lambda: exporter.dropped
    await exporter.start()
    stack.push_async_callback(exporter.close)


def _import_transformers() -> None:
    # Where it fails, so will the first call, which tells why.
    with suppress(ImportError, OSError):
        importlib.import_module("sentence_transformers")


def _import_layer() -> Callable[..., Layer]:
    importlib.import_module("faiss")
    from gateway.caching.semantic.layer import SemanticLayer  # noqa: PLC0415

    return SemanticLayer


class _Upstream:
    """One provider behind an address: the operator's call, and calls with credentials."""

    def __init__(
        self, name: str, provider: ProviderSettings, settings: Settings, transport: Transport, guarded: Transport
    ) -> None:
        self._row = row = find_provider(name, provider.dialect, provider.base_url or None)
        self._transport, self._guarded = transport, guarded
        self.dialect: Dialect = (
            AnthropicDialect(now_s=wall_clock_s)
            if provider.dialect == "anthropic"
            else OpenAiDialect(
                endpoints=row.endpoints,
                quirks=row.quirks,
                asks_stream_usage=provider.stream_usage,
                now_s=wall_clock_s,
            )
        )
        origin, path_prefix = parse_base_url(provider.base_url or row.base_url)
        headers = {header: value.reveal() for header, value in provider.headers.items()}
        if provider.api_key:
            headers |= _authorize(row, provider.api_key.reveal())
        cancels, cancels_whole = provider.cancel_stops_billing, provider.cancel_stops_whole_calls
        self.address = Address(
            origin=origin,
            path_prefix=path_prefix,
            headers=headers,
            timeouts=msgspec.convert(msgspec.to_builtins(settings.timeouts), Timeouts),
            max_reply_bytes=settings.server.max_reply_bytes,
            cancel_stops_billing=row.cancel_stops_billing if cancels is None else cancels,
            cancel_models=row.cancel_models if cancels is None else (),
            cancel_stops_whole_calls=row.cancel_stops_whole_calls if cancels_whole is None else cancels_whole,
        )

    def reach(self, credential: ActiveCredential) -> tuple[Transport, Address]:
        """Where a call with a credential goes: the operator's headers go to the operator's address alone."""
        authorization = _authorize(self._row, credential.secret.reveal())
        if credential.base_url is not None:
            origin, path_prefix = parse_base_url(credential.base_url)
            # A public address, of whose server nobody has said that it stops.
            return self._guarded, msgspec.structs.replace(
                self.address,
                origin=origin,
                path_prefix=path_prefix,
                headers=authorization,
                cancel_stops_whole_calls=False,
            )
        kept = {
            header: value for header, value in self.address.headers.items() if header.lower() not in CREDENTIAL_HEADERS
        }
        return self._transport, msgspec.structs.replace(self.address, headers=kept | authorization)


def _usual(row: ProviderRow) -> ProviderSettings:
    return ProviderSettings(dialect=row.dialect, base_url=row.base_url)


def _authorize(row: ProviderRow, secret: str) -> dict[str, str]:
    return {"x-api-key": secret} if row.auth == "x-api-key" else {"authorization": f"Bearer {secret}"}


def _open_transport(stack: AsyncExitStack, transport: Transport) -> Transport:
    stack.push_async_callback(transport.close)
    return transport
