"""What the rooms need, built once by app.py and handed in; the rooms themselves keep nothing."""

import asyncio
import random
from collections.abc import Callable

import msgspec

from gateway.accounts.directory import KeyDirectory, KeyRecord
from gateway.backends.purses import Purses
from gateway.backends.relay import Relay
from gateway.budgets.keeping.keeper import Keeper
from gateway.caching.caching import Caching
from gateway.config.settings import Settings
from gateway.counters.interface import Counters
from gateway.ids import IdSource
from gateway.ledger.recording.recorder import Recorder
from gateway.limits.limiting import Limiting
from gateway.pipeline.route import RouteTable
from gateway.prompts.keeper import PromptKeeper
from gateway.telemetry import Metrics
from providers.pricing.prices import PriceTable
from providers.tokens import Tokenizers


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running gateway that a request touches."""

    settings: Settings
    directory: KeyDirectory
    counters: Counters
    limiting: Limiting
    budgets: Keeper
    caching: Caching
    routes: RouteTable
    # What projects call beside and instead of the configured backends.
    purses: Purses
    prices: PriceTable
    tokenizers: Tokenizers
    recorder: Recorder
    prompts: PromptKeeper
    metrics: Metrics
    ids: IdSource
    loop: asyncio.AbstractEventLoop
    # Wall clock, ns since the epoch.
    now_ns: Callable[[], int]
    # Monotonic clock, ns.
    ticks_ns: Callable[[], int]
    # Jitter for waits between tries.
    jitter: random.Random
    # Streams that are being relayed, for the sweep that keeps silent ones alive.
    relays: set[Relay]

    def routes_of(self, caller: KeyRecord) -> RouteTable:
        """The routes with what the caller's project calls by stored credentials; without any, those of all."""
        purses = self.purses
        return self.routes if purses.credentials.is_empty else self.routes.of(purses.of(caller.project_id))
