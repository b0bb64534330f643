"""Room 2: a call is admitted and counted as open until it has settled; its key's and its plan's limits are kept.

Failure behavior: while the ledger cannot take rows no call is admitted, since its cost would be known to nobody. Rate
limits fail open, as gateway.limits.gate tells.
"""

from collections.abc import Callable

import msgspec

from gateway.backends.interface import Client
from gateway.errors import Fault, refuse_unrecorded
from gateway.ledger.recording.recorder import Recorder
from gateway.limits.passage import Passage
from gateway.pipeline import reply
from gateway.pipeline.flow import Inbound
from gateway.pipeline.services import Services
from gateway.telemetry import Metrics
from providers.wire import Call


class Hold:
    """A call that has not settled yet; released exactly once, whatever happens to the call."""

    __slots__ = ("_metrics",)

    def __init__(self, metrics: Metrics) -> None:
        self._metrics: Metrics | None = metrics
        metrics.holds_open += 1

    def release(self) -> None:
        """Settled, or failed for good. A second release changes nothing."""
        if self._metrics is not None:
            self._metrics.holds_open -= 1
            self._metrics = None


def admit(recorder: Recorder, metrics: Metrics) -> Hold:
    """Open a hold for one call; raises Fault while the ledger is full."""
    if not recorder.is_accepting:
        raise refuse_unrecorded()
    return Hold(metrics)


class _PassingClient(msgspec.Struct, eq=False):
    """A client whose answers begin otherwise, and are the same else."""

    client: Client

    @property
    def is_gone(self) -> bool:
        """Whether the client has closed its connection."""
        return self.client.is_gone

    def write(self, data: bytes) -> None:
        """Send the next part."""
        self.client.write(data)

    def watch(self, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """Tell of leaving and of slow reading."""
        self.client.watch(on_gone, on_pressure)


class ToldClient(_PassingClient):
    """A client every answer to which has the lines of limits."""

    lines: bytes

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Answer at once."""
        self.client.send(status, head + self.lines, *body)

    def start(self, head: bytes) -> None:
        """Begin a stream."""
        self.client.start(head + self.lines)

    def end(self, data: bytes) -> None:
        """Send the last part."""
        self.client.end(data)


class LimitedClient(_PassingClient):
    """The client of a limited call, every answer to which has the lines of its limits.

    An answer ends when the call has given back what it took, so that a client which asks again at once finds it free:
    at once where that needs no waiting, else with ``settle``.
    """

    passage: Passage
    # What is held back: a whole answer, or a stream's end. The first one counts, as it does for the client.
    held: tuple[int, bytes, tuple[bytes | memoryview, ...]] | bytes | None = None
    is_settled: bool = False

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Answer at once, or when the call has settled."""
        passage = self.passage
        if self.is_settled or passage.settle_at_once():
            self.is_settled = True
            self.client.send(status, head + passage.lines, *body)
        elif self.held is None:
            self.held = status, head + passage.lines, body

    def start(self, head: bytes) -> None:
        """Begin a stream."""
        self.client.start(head + self.passage.lines)

    def end(self, data: bytes) -> None:
        """Send the last part at once, or when the call has settled."""
        if self.is_settled or self.passage.settle_at_once():
            self.is_settled = True
            self.client.end(data)
        elif self.held is None:
            self.held = data

    async def settle(self) -> None:
        """Give back what the call took, unless its answer's end has, and send what was held back."""
        if self.is_settled:
            return
        try:
            await self.passage.settle()
        finally:
            held, self.held = self.held, None
            if isinstance(held, bytes):
                self.client.end(held)
            elif held is not None:
                status, head, body = held
                self.client.send(status, head, *body)


def enter_at_once(inbound: Inbound, passage: Passage) -> bool:
    """As ``enter``, where that needs no waiting; False: nothing was taken, and ``enter`` has to be asked."""
    return passage.enter_at_once(_bound_tokens(inbound.call))


async def enter(inbound: Inbound, passage: Passage, services: Services) -> None:
    """Take what the limits allow; raises Fault. Whoever calls this settles the passage, whatever happens."""
    call = inbound.call

    async def count() -> int:
        prompt = await services.loop.run_in_executor(None, services.tokenizers.count_prompt, call.model, call.body)
        return prompt + _reply_tokens(call)

    await passage.enter(_bound_tokens(call), count, is_all_input=not _reply_tokens(call))


async def refuse(request_id: str, passage: Passage, client: Client, fault: Fault) -> None:
    """Refuse a request that cannot become a call: it counts as one all the same."""
    try:
        await passage.pass_requests()
    except Fault as limit:
        fault = limit
    reply.refuse(request_id, ToldClient(client, passage.lines), fault)


def _bound_tokens(call: Call) -> int:
    """The most that a call may use: a token has at least one byte."""
    max_tokens = call.max_tokens
    if not max_tokens or call.endpoint == "embeddings":
        return len(call.body)
    return len(call.body) + max_tokens * call.n * call.prompts


def _reply_tokens(call: Call) -> int:
    """The most that a reply may have; 0 where the request sets no bound, and then the truth is taken afterwards."""
    return _bound_tokens(call) - len(call.body)
