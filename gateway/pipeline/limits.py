"""Room 2: a call is admitted and counted as open until it has settled; its key's and its plan's limits are kept.

Failure behavior: while the ledger cannot take rows no call is admitted, since its cost would be known to nobody. Rate
limits fail open, as gateway.limits.gate tells.
"""

from collections.abc import Callable
from functools import partial

import msgspec

from gateway.backends.interface import Client
from gateway.errors import Fault, refuse_unrecorded
from gateway.limits.passage import Passage
from gateway.pipeline import reply
from gateway.pipeline.flow import Inbound
from gateway.pipeline.services import Services
from gateway.pipeline.tries.journey import Journey
from providers.wire import Call


def admit(journey: Journey) -> None:
    """Count a call as open, until it leaves; raises Fault while the ledger is full."""
    services = journey.services
    if not services.recorder.is_accepting:
        raise refuse_unrecorded()
    journey.is_admitted = True
    services.metrics.holds_open += 1


class LimitedClient(msgspec.Struct, eq=False):
    """The client of a call whose limits have to be waited for: its answer ends when it has given back what it took.

    So a client which asks again at once finds it free. Where nobody has to be waited for, that is given back before the
    answer is sent, and the client needs no other in front of it: see record.settle.
    """

    client: Client
    passage: Passage
    # What is held back: a whole answer, or a stream's end. The first one counts, as it does for the client.
    held: Callable[[], None] | None = None
    is_settled: bool = False

    @property
    def takes_late(self) -> bool:
        """It ends with ``settle``, which is on the call's path."""
        return False

    @property
    def is_gone(self) -> bool:
        """Whether the client has closed its connection."""
        return self.client.is_gone

    def send(self, status: int, head: bytes, *body: bytes | memoryview) -> None:
        """Answer at once, or when the call has settled."""
        if self.is_settled or self.passage.settle_at_once():
            self.is_settled = True
            self.client.send(status, head, *body)
        elif self.held is None:
            self.held = partial(self.client.send, status, head, *body)

    def start(self, head: bytes) -> None:
        """Begin a stream."""
        self.client.start(head)

    def write(self, data: bytes) -> None:
        """Send the next part."""
        self.client.write(data)

    def end(self, *data: bytes) -> None:
        """Send the last part at once, or when the call has settled."""
        if self.is_settled or self.passage.settle_at_once():
            self.is_settled = True
            self.client.end(*data)
        elif self.held is None:
            self.held = partial(self.client.end, *data)

    def watch(self, on_gone: Callable[[], None], on_pressure: Callable[[bool], None]) -> None:
        """Tell of leaving and of slow reading."""
        self.client.watch(on_gone, on_pressure)

    async def settle(self) -> None:
        """Give back what the call took, unless its answer's end has, and send what was held back."""
        if self.is_settled:
            return
        try:
            await self.passage.settle()
        finally:
            held, self.held = self.held, None
            if held is not None:
                held()


async def enter(inbound: Inbound, passage: Passage, services: Services) -> None:
    """Take what the limits allow; raises Fault. Whoever calls this settles the passage, whatever happens."""
    call = inbound.call

    async def count() -> int:
        prompt = await services.loop.run_in_executor(None, services.tokenizers.count_prompt, call.model, call.body)
        return prompt + _reply_tokens(call)

    await passage.enter(bound_tokens(call), count, is_all_input=not _reply_tokens(call))


async def refuse(request_id: str, passage: Passage, client: Client, fault: Fault) -> None:
    """Refuse a request that cannot become a call: it counts as one all the same."""
    try:
        await passage.pass_requests()
    except Fault as limit:
        fault = limit
    reply.refuse(request_id, client, fault, limits=passage.lines)


def bound_tokens(call: Call) -> int:
    """The most tokens that a call may use: each has at least one byte."""
    max_tokens = call.max_tokens
    if not max_tokens or call.endpoint == "embeddings":
        return len(call.body)
    return len(call.body) + max_tokens * call.n * call.prompts


def _reply_tokens(call: Call) -> int:
    """The most that a reply may have; 0 where the request sets no bound, and then the truth is taken afterwards."""
    return bound_tokens(call) - len(call.body)
