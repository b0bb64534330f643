"""Room 2: a call is open until it is settled, none is made that cannot be recorded, and limits are kept."""

from typing import Any, cast

import pytest
from fakes import CALLER, FakeClient, FakeRecorder, make_call, make_inbound, make_services
from limiting import make_gate
from msgspec.structs import replace

from gateway.backends.interface import Client
from gateway.errors import Fault
from gateway.limits.passage import Passage
from gateway.pipeline.limits import LimitedClient, admit, enter
from gateway.pipeline.services import Services
from gateway.pipeline.tries.journey import Journey
from providers.wire import Call


def journey_of(services: Services) -> Journey:
    """A call that has come."""
    return Journey(make_inbound(), cast("Client", FakeClient()), services)


async def test_an_admitted_call_counts_as_open() -> None:
    """The gauge tells how many are not settled."""
    journey = journey_of(make_services())
    admit(journey)
    assert (journey.is_admitted, journey.services.metrics.holds_open) == (True, 1)


async def test_a_full_ledger_admits_no_call() -> None:
    """The cost of such a call would be known to nobody; nothing is open that nobody would close."""
    journey = journey_of(make_services())
    cast("FakeRecorder", journey.services.recorder).is_accepting = False
    with pytest.raises(Fault) as refused:
        admit(journey)
    assert (refused.value.status, refused.value.retry_after_ms) == (503, 5_000)
    assert (journey.is_admitted, journey.services.metrics.holds_open) == (False, 0)


async def zero() -> int:
    """Count nothing."""
    return 0


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_answers_end_waits_until_all_is_given_back(is_stream: bool) -> None:
    """Where that takes a moment: what came before is not held back, and the end is sent once."""
    client, gate = FakeClient(), make_gate()
    gate.local = None
    policy = gate.policy_of(replace(CALLER, max_concurrent=1))
    assert policy is not None
    limited = LimitedClient(cast("Client", client), Passage(gate, policy, "lease", lambda: 0, 0))
    await limited.passage.enter(0, zero)
    if is_stream:
        limited.start(b"")
        limited.write(b"begin ")
        limited.end(b"end")
    else:
        limited.send(200, b"", b"begin end")
    before = (client.is_whole, client.data)
    await limited.settle()
    await limited.settle()
    assert (before, client.data) == ((False, b"begin " if is_stream else b""), b"begin end")
    assert (client.is_whole, client.answers) == (True, 1)


def test_a_limited_client_is_gone_when_its_client_is() -> None:
    """And is told as it would be."""
    client, told = FakeClient(), []
    limited = LimitedClient(cast("Client", client), cast("Any", None))
    limited.watch(lambda: told.append("gone"), told.append)
    assert not limited.is_gone
    client.leave()
    assert (limited.is_gone, told) == (True, ["gone"])


@pytest.mark.parametrize(
    ("call", "tokens"),
    [
        ({"body": b"x" * 50}, 50),
        ({"body": b"x" * 50, "max_tokens": 20}, 70),
        ({"body": b"x" * 50, "max_tokens": 20, "n": 3}, 110),
        ({"body": b"x" * 50, "max_tokens": 20, "endpoint": "embeddings"}, 50),
    ],
)
async def test_the_bound_is_a_token_a_byte_and_the_longest_reply(call: dict[str, Any], tokens: int) -> None:
    """Quick to tell and never too low."""
    made: Call = make_call(**call)
    outcomes: list[bool] = []
    for limit in (tokens, tokens - 1):
        gate = make_gate()
        caller = replace(CALLER, tokens_per_minute=limit)
        policy = gate.policy_of(caller)
        assert policy is not None
        tokenizers = cast("Any", Counting(10**6))
        services = make_services(tokenizers=tokenizers)
        passage = Passage(gate, policy, "lease", services.now_ns, services.now_ns())
        try:
            await enter(make_inbound(made, passage=passage), passage, services)
            outcomes.append(True)
        except Fault:
            outcomes.append(False)
    assert outcomes == [True, False]


class Counting:
    """A tokenizer that finds so many tokens in any prompt."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def count_prompt(self, model: str, body: bytes) -> int:
        """As many as it was made with."""
        return self.tokens


async def test_where_the_bound_has_no_room_tokens_are_counted() -> None:
    """The reply's longest is added to what the tokenizer finds."""
    gate = make_gate()
    policy = gate.policy_of(replace(CALLER, tokens_per_minute=30))
    assert policy is not None
    services = make_services(tokenizers=cast("Any", Counting(10)))
    call = make_call(body=b"x" * 500, max_tokens=20)
    for admitted in (True, False):
        passage = Passage(gate, policy, "lease", services.now_ns, services.now_ns())
        entering = enter(make_inbound(call, passage=passage), passage, services)
        if admitted:
            await entering
        else:
            with pytest.raises(Fault, match="30 tokens per minute"):
                await entering
