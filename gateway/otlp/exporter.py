"""Sends spans and metrics to a collector, in batches and beside the calls.

Failure behavior: what finds the queue full is dropped and counted, and so is what a collector refuses for good. While
it is away spans wait in the queue and are sent when it is back; the log tells once when that begins and once when it
ends. No call ever waits.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from gateway.ledger.row import UsageRow
from gateway.otlp.encoding import Resource, encode_metrics, encode_spans
from gateway.telemetry import Metrics
from providers.errors import ProviderError
from providers.transport.origin import Origin, Timeouts
from providers.transport.pool import Transport

MAX_WAITING, BATCH = 4_096, 512
SPANS_INTERVAL_S, METRICS_INTERVAL_S = 5.0, 60.0
CLOSE_S = 2.0
TIMEOUTS = Timeouts(connect_ms=3_000, first_byte_ms=10_000, idle_ms=10_000, total_ms=15_000)
MAX_ANSWER_BYTES = 1 << 20
HTTP_OK, HTTP_REFUSED = 200, 300
# Statuses with which a collector asks to come again: https://opentelemetry.io/docs/specs/otlp/#failures-1
AGAIN = frozenset({429, 502, 503, 504})
_log = logging.getLogger(__name__)


class Exporter:
    """One a process. ``save`` is called before metrics are told; see gateway.server.exchange."""

    def __init__(  # noqa: PLR0913 - what it tells, of whom, to whom and how often
        self,
        metrics: Metrics,
        resource: Resource,
        collector: tuple[Origin, str],
        now_ns: Callable[[], int],
        *,
        save: Callable[[], object] = lambda: None,
        intervals_s: tuple[float, float] = (SPANS_INTERVAL_S, METRICS_INTERVAL_S),
    ) -> None:
        self._metrics = metrics
        self._resource = resource
        self._origin, self._prefix = collector
        self._now_ns = now_ns
        self._save = save
        self._spans_interval_s, self._metrics_interval_s = intervals_s
        self._transport = Transport(max_connections_per_origin=2)
        self._waiting: deque[UsageRow] = deque()
        self._hurry = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_away = False
        self.dropped = 0

    async def start(self) -> None:
        """Take calls, and tell until ``close``."""
        self._metrics.on_call = self.take
        for work in (self._tell_spans(), self._tell_metrics()):
            self._tasks.append(asyncio.create_task(work))  # noqa: TID251 - kept, and awaited on close

    async def close(self) -> None:
        """Tell what waits, as far as that is quickly done, and stop."""
        self._metrics.on_call = None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while self._waiting and await self._send_spans():
                    pass
                await self._send_metrics()
        await self._transport.close()

    def take(self, row: UsageRow) -> None:
        """Tell of a call that has ended."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(row)
        if len(self._waiting) == BATCH:
            self._hurry.set()

    async def _tell_spans(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._spans_interval_s):
                    await self._hurry.wait()
            self._hurry.clear()
            try:
                while self._waiting and await self._send_spans():
                    pass
            except Exception:
                # One that cannot be told must not end the telling of all others.
                _log.exception("spans could not be told")
                self._forget(min(len(self._waiting), BATCH), was_taken=False)

    async def _tell_metrics(self) -> None:
        while True:
            await asyncio.sleep(self._metrics_interval_s)
            await self._send_metrics()

    async def _send_spans(self) -> bool:
        """Send one batch; False: it has to wait."""
        batch = list(islice(self._waiting, BATCH))
        was_taken = await self._post("v1/traces", encode_spans(batch, self._resource))
        if was_taken is None:
            return False
        self._forget(len(batch), was_taken=was_taken)
        return True

    def _forget(self, count: int, *, was_taken: bool) -> None:
        for _ in range(count):
            self._waiting.popleft()
        self.dropped += 0 if was_taken else count

    async def _send_metrics(self) -> None:
        # What was told may not be taken back by a worker that is killed.
        self._save()
        await self._post("v1/metrics", encode_metrics(self._metrics, self._resource, self._now_ns()))

    async def _post(self, path: str, body: bytes) -> bool | None:
        """Send; tells whether it was taken, None: it may be later."""
        lines = (
            f"POST {self._prefix.rstrip('/')}/{path} HTTP/1.1",
            f"host: {self._origin.authority}",
            "content-type: application/json",
            "accept-encoding: identity",
        )
        head = "".join(f"{line}\r\n" for line in lines).encode()
        try:
            answer = await self._transport.fetch(self._origin, head, body, TIMEOUTS, limit_bytes=MAX_ANSWER_BYTES)
        except ProviderError as error:
            self._note(f"{type(error).__name__}: {error}")
            return None
        status = answer.status
        answer.release()
        is_taken = HTTP_OK <= status < HTTP_REFUSED
        self._note("" if is_taken else f"status {status}")
        return None if status in AGAIN else is_taken

    def _note(self, fault: str) -> None:
        """Log where the collector begins to fail, and where it is well again."""
        if fault and not self._is_away:
            _log.warning("the OTLP collector does not take what is told: %s", fault)
        elif self._is_away and not fault:
            _log.warning("the OTLP collector takes what is told again")
        self._is_away = bool(fault)
