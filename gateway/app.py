"""The composition root: Settings become a running gateway. Only this module builds clients, pools and stores.

Whoever builds closes, in reverse order: everything is entered into one AsyncExitStack.
"""

import asyncio
import contextlib
import gc
import logging
import random
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, Protocol, TypeVar

import msgspec
import uvloop
from litestar import Litestar
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.accounts import store
from gateway.accounts.credential_directory import CredentialDirectory
from gateway.accounts.credentials import Credentials
from gateway.accounts.directory import KeyDirectory
from gateway.accounts.keyring.project_keys import ProjectKeys
from gateway.accounts.keyring.projects import Projects
from gateway.accounts.keys import KeyDigester
from gateway.accounts.master import API_KEYS, BUCKETS, SHARED_ANSWERS, decode_previous_keys, derive_key, load_master_key
from gateway.accounts.tenancy.account import Accounts
from gateway.accounts.tenancy.members import Members
from gateway.accounts.tenancy.passwords import DEFAULT_COST, PasswordCost, Passwords
from gateway.accounts.tenancy.people import People
from gateway.accounts.tenancy.sessions import Lifetimes
from gateway.accounts.tenancy.tokens import AccessTokens, make_claim_token
from gateway.accounts.tenancy.upkeep import Upkeep
from gateway.accounts.vault import Vault
from gateway.backends.purses import Purses
from gateway.budgets.keeping.opening import open_keeper
from gateway.budgets.spending import Spending
from gateway.budgets.store import set_zone
from gateway.caching.administration import forget_project as forget_answers
from gateway.caching.caching import Caching
from gateway.config.listening import note_address, write_address
from gateway.config.settings import Settings
from gateway.counters.interface import Counters
from gateway.counters.memory import MemoryCounters
from gateway.counters.occupancy import occupy
from gateway.credits import Credits
from gateway.db import Database, DatabaseUnavailable
from gateway.ids import IdSource
from gateway.ledger.history import History
from gateway.ledger.recording.journal import Journal
from gateway.ledger.recording.recorder import Recorder, RecorderSettings
from gateway.limits.attempts import Attempts
from gateway.limits.buckets import Buckets
from gateway.limits.gate import Gate
from gateway.limits.limiting import Limiting
from gateway.limits.strangers import Strangers
from gateway.pipeline.services import Services
from gateway.prompts.keeper import PromptKeeper
from gateway.prompts.store import forget_project as forget_prompts
from gateway.routes import Checks, Estate, build_app
from gateway.server.exchange import MetricsExchange, open_run_folder
from gateway.server.run import listen, make_server
from gateway.server.workers import Supervisor
from gateway.surfaces.guards import Identity
from gateway.surfaces.proxy.openai import OpenAiDoor
from gateway.surfaces.views.listeners import Listeners
from gateway.telemetry import Metrics
from gateway.upstreams import build_prices, build_routes, build_upstreams, open_audits, open_caching, open_export
from gateway.web.claim import claim_url
from providers.catalogue import load_catalogue
from providers.pricing.prices import parse_usd
from providers.tokens import Tokenizers
from providers.transport.address_guard import AddressGuard

log = logging.getLogger("gateway.app")


class Startable(Protocol):
    """What has tasks of its own."""

    async def start(self) -> None:
        """Begin."""
        ...

    async def close(self) -> None:
        """End."""
        ...


Started = TypeVar("Started", bound=Startable)


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """A running gateway without its listening side."""

    services: Services
    door: OpenAiDoor
    app: Litestar
    identity: Identity
    listeners: Listeners


@asynccontextmanager
async def open_gateway(
    settings: Settings, password_cost: PasswordCost = DEFAULT_COST, exchange: MetricsExchange | None = None
) -> AsyncGenerator[Gateway]:
    """Build everything, and close it in reverse order. Prints the keys of an empty installation once."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        given = settings.master_key
        master = load_master_key(given.reveal() if given else None, settings.data_dir)
        digester = KeyDigester(derive_key(master, API_KEYS))
        url = settings.database_url
        database = await Database.open(url.reveal() if url else None, settings.data_dir)
        stack.push_async_callback(database.close)
        await _bootstrap(database, digester)
        directory = await start(KeyDirectory(database, digester), stack)
        recorder = build_recorder(database, settings)
        recorder.start()
        stack.push_async_callback(recorder.close)
        vault = Vault(master, decode_previous(settings))
        credentials = await start(CredentialDirectory(database, vault), stack)
        guard = AddressGuard()
        prompts = await start(PromptKeeper(database, vault, time.time_ns), stack)
        upstreams = build_upstreams(settings, loop, stack, guard, recorder)
        history = History(database)
        history.start()
        stack.push_async_callback(history.close)
        counters = build_counters(settings, stack)
        budgets = await open_keeper(settings, database, counters, recorder, stack)
        caching = await open_caching(settings, database, upstreams, derive_key(master, SHARED_ANSWERS), stack)
        metrics = await open_metrics(settings, build_gauges(recorder, caching, prompts), exchange, stack)
        catalogue = load_catalogue()
        services = Services(
            settings=settings,
            directory=directory,
            counters=counters,
            limiting=build_limiting(settings, counters, master),
            budgets=budgets,
            caching=caching,
            routes=build_routes(settings, catalogue, upstreams.backends),
            purses=Purses(credentials, upstreams.openings, time.time_ns),
            prices=build_prices(settings, catalogue),
            tokenizers=Tokenizers(),
            recorder=recorder,
            prompts=prompts,
            metrics=metrics,
            ids=IdSource(),
            loop=loop,
            now_ns=time.time_ns,
            ticks_ns=time.perf_counter_ns,
            jitter=random.Random(),  # noqa: S311 - spreads retries, guards nothing
            relays=set(),
        )
        share_breakers(services, stack)
        open_audits(services, stack)
        door = OpenAiDoor(services)
        identity = build_identity(services, database, master, password_cost, stack)
        estate = build_estate(services, database, digester, vault, guard)
        app = build_app(services, door, estate, build_checks(settings, database, stack), identity)
        yield Gateway(services=services, door=door, app=app, identity=identity, listeners=estate.listeners)


async def start(part: Started, stack: AsyncExitStack) -> Started:
    """Start what has tasks of its own, which end with the rest."""
    await part.start()
    stack.push_async_callback(part.close)
    return part


async def _bootstrap(database: Database, digester: KeyDigester) -> None:
    made = await store.bootstrap(database, digester, time.time_ns())
    if made is not None:
        print(f"api_key {made.live.key}\ntest_key {made.test.key}", flush=True)
        print("These two keys are shown only now; 'watchllm keys create' makes more.", file=sys.stderr, flush=True)


def build_gauges(recorder: Recorder, caching: Caching, prompts: PromptKeeper) -> dict[str, Callable[[], int]]:
    """What is asked at every scrape."""
    semantics = caching.semantics
    return {
        "watchllm_ledger_pending_rows": lambda: recorder.pending,
        "watchllm_cache_entries": lambda: len(caching.answers) + semantics.count_beside(),
        "watchllm_cache_indexed": semantics.count_indexed,
        "watchllm_cache_index_ready": lambda: int(semantics.is_ready),
        "watchllm_cache_fallbacks_total": lambda: 0 if semantics.layer is None else semantics.layer.fallbacks,
        "watchllm_cache_unlearnt_total": lambda: 0 if semantics.layer is None else semantics.layer.dropped,
        "watchllm_cache_audits_total": lambda: caching.audits.made,
        "watchllm_prompts_dropped_total": lambda: prompts.dropped,
    }


async def open_metrics(
    settings: Settings, gauges: dict[str, Callable[[], int]], exchange: MetricsExchange | None, stack: AsyncExitStack
) -> Metrics:
    """What counts, told to the other workers and to a collector where there are any."""
    metrics = Metrics(version=version("watchllm-gateway"), gauges=gauges)
    if exchange is not None:
        await exchange.join(metrics)
        stack.push_async_callback(exchange.leave)
    await open_export(settings, metrics, exchange, stack)
    return metrics


def build_counters(settings: Settings, stack: AsyncExitStack) -> Counters:
    """What counts rates, slots and holds: in Redis where there is one, so that all processes count as one."""
    if settings.redis_url is None:
        return MemoryCounters()
    # A tenth of a second, that a gateway without Redis need not wait for.
    from gateway.counters.shared import SharedCounters  # noqa: PLC0415

    counters = SharedCounters.open(settings.redis_url.reveal())
    stack.push_async_callback(counters.close)
    return counters


def build_limiting(settings: Settings, counters: Counters, master: bytes) -> Limiting:
    """Plans' limits where they are enforced; a key's own, and those of attempts to sign in, always."""
    limits = settings.limits
    buckets = Buckets(derive_key(master, BUCKETS))
    gate = Gate(counters, enforce=limits.enforce, lease_ms=settings.timeouts.total_ms)
    return Limiting(
        gate=gate,
        strangers=Strangers(buckets) if limits.enforce else None,
        attempts=Attempts(gate, buckets, limits.auth_per_minute) if limits.auth_per_minute else None,
    )


def build_recorder(database: Database, settings: Settings) -> Recorder:
    """The ledger's writer with its journal in the data directory."""
    ledger = settings.ledger
    return Recorder(
        database,
        Journal(settings.data_dir / "journal", time.time_ns()),
        store.note_used,
        time.time_ns,
        RecorderSettings(fold_interval_ms=ledger.fold_interval_ms, sync_interval_ms=ledger.sync_interval_ms),
        Spending(database).take_stored,
    )


def build_checks(settings: Settings, database: Database, stack: AsyncExitStack) -> Checks:
    """What /health asks: the database, and Redis where there is one."""

    async def check_database() -> None:
        await database.ping()

    checks: Checks = {"database": check_database}
    if settings.redis_url is not None:
        # A tenth of a second, that a gateway without Redis need not wait for.
        from redis.asyncio import Redis  # noqa: PLC0415

        # The library leaves its keywords and replies untyped.
        library: Any = Redis
        redis = library.from_url(settings.redis_url.reveal(), socket_timeout=1.0, socket_connect_timeout=1.0)
        stack.push_async_callback(redis.aclose)

        async def check_redis() -> None:
            await redis.ping()

        checks["redis"] = check_redis
    return checks


def share_breakers(services: Services, stack: AsyncExitStack) -> None:
    """Have the breakers of all processes on one Redis behave as one."""
    url = services.settings.redis_url
    if url is None:
        return
    # A tenth of a second, that a gateway without Redis need not wait for.
    from gateway.backends.board import BreakerBoard  # noqa: PLC0415
    from gateway.counters.link import RedisLink  # noqa: PLC0415

    board = BreakerBoard(RedisLink.open(url.reveal()), services.routes.breakers, services.ticks_ns)
    board.start()
    stack.push_async_callback(board.close)


def decode_previous(settings: Settings) -> tuple[bytes, ...]:
    """The master keys that were in use before."""
    return decode_previous_keys(secret.reveal() for secret in settings.previous_master_keys)


def build_estate(
    services: Services, database: Database, digester: KeyDigester, vault: Vault, guard: AddressGuard
) -> Estate:
    """What handles projects, their keys and their credentials; this process honours its own changes at once."""
    directory, credentials = services.directory, services.purses.credentials

    async def follow() -> None:
        # While the database is away the next poll takes the change over.
        with contextlib.suppress(DatabaseUnavailable):
            await directory.refresh()
            await credentials.refresh()
            await services.prompts.directory.refresh()
            await services.caching.directory.refresh()

    async def end_project(connection: AsyncConnection, project_id: str, now_ns: int) -> None:
        await forget_prompts(connection, project_id)
        await forget_answers(connection, project_id, now_ns)

    keys = ProjectKeys(database, digester, follow)
    names = services.purses.providers
    return Estate(
        database=database,
        project_keys=keys,
        projects=Projects(database, keys, names | services.settings.providers.keys(), follow, end_project),
        credentials=Credentials(database, vault, names, guard, follow),
        members=Members(database, follow),
        accounts=Accounts(database, set_zone),
        listeners=Listeners(),
    )


def build_identity(
    services: Services, database: Database, master: bytes, password_cost: PasswordCost, stack: AsyncExitStack
) -> Identity:
    """What knows people by their passwords, tokens and cookies."""
    settings = services.settings
    passwords = Passwords(password_cost)
    stack.callback(passwords.close)
    tokens, lifetimes = AccessTokens(master, decode_previous(settings)), Lifetimes()
    upkeep = Upkeep(database, lifetimes, services.now_ns, settings.accounts.audit_retention_days)
    upkeep.start()
    stack.push_async_callback(upkeep.close)
    return Identity(
        people=People(database, passwords, tokens, partial(make_claim_token, master), lifetimes, _welcoming(services)),
        lifetimes=lifetimes,
        now_ns=services.now_ns,
        open_sign_up=settings.accounts.open_sign_up,
        public_url=settings.server.public_url,
        attempts=services.limiting.attempts,
    )


def _welcoming(services: Services) -> Credits | None:
    """What a new account gets: its credit, where the operator grants one."""
    grant_pusd = parse_usd(services.settings.accounts.credit_grant_usd)
    return Credits(services.budgets.treasury, grant_pusd) if grant_pusd else None


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. Raises AddressTaken and DirectoryOccupied."""
    listener = listen(settings.server)
    with contextlib.closing(listener), occupy(settings.data_dir, counts_alone=settings.redis_url is None):
        return _work(settings, listener)


def _work(settings: Settings, listener: socket.socket) -> int:
    """In this process, or in as many as there are to be."""

    def work(exchange: MetricsExchange | None = None) -> int:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, listener, exchange))

    workers = settings.server.workers
    if workers == 1:
        return work()
    started_ns = time.time_ns()
    with open_run_folder() as folder:
        return Supervisor(workers, lambda number: work(MetricsExchange(folder, number, workers, started_ns))).run()


async def _serve(settings: Settings, listener: socket.socket, exchange: MetricsExchange | None) -> int:
    async with open_gateway(settings, exchange=exchange) as gateway:
        host, port = listener.getsockname()[:2]
        silence_s = settings.server.stream_comment_ms / 1000
        told: dict[str, Any] = {"file": sys.stderr, "flush": True}

        claim = await gateway.identity.people.find_open_claim()
        listening = write_address(host, port)
        base_url = settings.server.public_url or listening
        note_address(settings.data_dir, base_url)

        def announce() -> None:
            if claim is not None:
                print(f"Nobody is its operator yet; who opens this link may be: {claim_url(base_url, claim)}", **told)
            print(f"WatchLLM is ready on {listening}/v1", **told)

        def sweep(now_s: float) -> None:
            for relay in list(gateway.services.relays):
                relay.comment_if_silent(now_s, silence_s)
            gateway.services.metrics.breaker_open = gateway.services.routes.count_spared(gateway.services.ticks_ns())
            if exchange is not None:
                exchange.save_if_due(now_s)

        server = make_server(gateway.app, gateway.door, settings.server, announce, sweep, gateway.listeners.end)
        # What is built lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        await server.serve(sockets=[listener])
    return 0
