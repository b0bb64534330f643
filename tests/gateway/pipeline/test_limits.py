"""Room 2: a call is open until it is settled, none is made that cannot be recorded, and limits are kept."""

from typing import Any, cast

import pytest
from fakes import CALLER, FakeClient, FakeRecorder, make_call, make_inbound, make_services
from limiting import make_gate
from msgspec.structs import replace

from gateway.backends.interface import Client
from gateway.errors import Fault
from gateway.ledger.recording.recorder import Recorder
from gateway.limits.passage import Passage
from gateway.pipeline.limits import Hold, LimitedClient, ToldClient, admit, enter
from gateway.telemetry import Metrics
from providers.wire import Call

LINES = b"x-ratelimit-limit: 5\r\n"


def test_an_admitted_call_counts_as_open() -> None:
    """The gauge tells how many are not settled."""
    metrics = Metrics(version="1")
    admit(cast("Recorder", FakeRecorder()), metrics)
    assert metrics.holds_open == 1


def test_a_released_hold_counts_no_more() -> None:
    """At rest the gauge is 0."""
    metrics = Metrics(version="1")
    Hold(metrics).release()
    assert metrics.holds_open == 0


def test_a_second_release_changes_nothing() -> None:
    """However a call ends, it is counted once."""
    metrics = Metrics(version="1")
    first, _ = Hold(metrics), Hold(metrics)
    first.release()
    first.release()
    assert metrics.holds_open == 1


def test_a_full_ledger_admits_no_call() -> None:
    """The cost of such a call would be known to nobody."""
    recorder = FakeRecorder()
    recorder.is_accepting = False
    with pytest.raises(Fault) as refused:
        admit(cast("Recorder", recorder), Metrics(version="1"))
    assert (refused.value.status, refused.value.retry_after_ms) == (503, 5_000)


def test_a_refused_call_leaves_no_hold() -> None:
    """Nothing is open that nobody would close."""
    recorder, metrics = FakeRecorder(), Metrics(version="1")
    recorder.is_accepting = False
    with pytest.raises(Fault):
        admit(cast("Recorder", recorder), metrics)
    assert metrics.holds_open == 0


def test_every_answer_of_a_limited_call_has_its_lines() -> None:
    """Whole and streamed; the rest passes as it is."""
    for answer in (lambda client: client.send(429, b"a: b\r\n", b"x"), lambda client: client.start(b"a: b\r\n")):
        client = FakeClient()
        answer(ToldClient(cast("Client", client), LINES))
        assert client.headers == {"a": "b", "x-ratelimit-limit": "5"}


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
    limited = ToldClient(cast("Client", client), LINES)
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
