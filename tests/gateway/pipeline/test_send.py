"""Room 5: who is tried, how often, after which pause, and when it stops."""

from typing import Any, cast

import pytest
from fakes import (
    ENDPOINTS,
    FakeBackend,
    make_call,
    make_route,
    make_target,
    whole,
)
from senders import Sender

from gateway.backends.breaker import Breaker
from gateway.config.settings import Retries
from gateway.pipeline.send import count_billable
from gateway.pipeline.tries.journey import TargetSpared
from providers.errors import (
    InvalidAnswer,
    PoolExhausted,
    ProviderError,
    Refused,
    TimedOut,
    Truncated,
    Unreachable,
    Unsupported,
)
from providers.openai.dialect import OpenAiDialect
from providers.registry import Quirk


def begun(error: ProviderError) -> ProviderError:
    """The same in the middle of an answer."""
    error.has_begun = True
    return error


class Mute:
    """A dialect that can say nothing."""

    def encode(self, call: object, model: str) -> Any:
        """Refuse."""
        raise Unsupported("no", param="n")


def unable(name: str) -> FakeBackend:
    """A provider to which nothing can be said."""
    return FakeBackend(whole(), name=name, dialect=cast("Any", Mute()))


DOWN = Refused("down", upstream_status=503)
CALLERS_FAULT = Refused("no such model", upstream_status=404)
SPARED_NS = 10_000_000_000


def refusal(status: int, **more: Any) -> Refused:
    """A refusal by a provider."""
    return Refused("no", upstream_status=status, **more)


async def test_the_first_target_that_answers_is_the_answer(sender: Sender) -> None:
    """Further targets are not asked."""
    second = FakeBackend(whole(), name="second")
    upstream = await sender.send(FakeBackend(whole()), second)
    assert (upstream.target.backend.name, upstream.attempts, second.requests) == ("openai", 1, [])


async def test_targets_are_tried_in_order(sender: Sender) -> None:
    """A provider in trouble hands over to the next, at once."""
    upstream = await sender.send(
        FakeBackend(DOWN, name="a"), FakeBackend(DOWN, name="b"), FakeBackend(whole(), name="c")
    )
    assert (upstream.target.backend.name, upstream.attempts, sender.waits_ms) == ("c", 3, [])


@pytest.mark.parametrize(
    "error",
    [
        refusal(429),
        refusal(500),
        refusal(503),
        refusal(401),
        refusal(403),
        refusal(402),
        Unreachable("refused", sent=False),
        Unreachable("reset", sent=True),
        TimedOut("slow", phase="first_byte"),
        begun(TimedOut("slow", phase="idle")),
        Truncated("cut"),
        InvalidAnswer("html"),
        PoolExhausted("full"),
    ],
    ids=repr,
)
async def test_trouble_of_a_provider_moves_on_to_the_next(sender: Sender, error: ProviderError) -> None:
    """Everything but the caller's own fault has a fallback."""
    upstream = await sender.send(FakeBackend(error, name="a"), FakeBackend(whole(), name="b"))
    assert upstream.target.backend.name == "b"


@pytest.mark.parametrize("status", [400, 404, 405, 411, 413, 415, 422, 424, 431, 451])
async def test_a_refusal_of_the_callers_request_ends_the_call(sender: Sender, status: int) -> None:
    """The next provider would be asked for the same mistake."""
    second = FakeBackend(whole(), name="b")
    failed = await sender.fail(FakeBackend(refusal(status), name="a"), second)
    assert (failed.target.backend.name, second.requests) == ("a", [])


@pytest.mark.parametrize("status", [409, 418, 425, 499])
async def test_a_refusal_of_the_request_spares_no_target(sender: Sender, status: int) -> None:
    """Whoever else calls the target is served, however often one caller is refused."""
    target = make_target(FakeBackend(refusal(status)), breaker=Breaker(failures=1, cooldown_ms=10_000))
    await sender.fail(target)
    assert target.breaker.state(sender.clock()) == "closed"


async def test_what_no_target_can_say_is_the_callers_to_change(sender: Sender) -> None:
    """Nothing was sent; the first target's words are told."""
    first = Unsupported("no", param="logit_bias")
    failed = await sender.fail(FakeBackend(first), FakeBackend(Unsupported("nor I", param="n"), name="b"))
    assert failed.error is first


async def test_a_target_that_cannot_say_the_call_is_passed_over(sender: Sender) -> None:
    """Another can: that is what fallbacks are for."""
    upstream = await sender.send(unable("a"), FakeBackend(whole(), name="b"))
    assert (upstream.target.backend.name, upstream.attempts) == ("b", 1)


async def test_a_target_that_is_spared_might_say_what_others_cannot(sender: Sender) -> None:
    """So the caller has nothing to change, and may ask again."""
    breaker = Breaker(failures=1, cooldown_ms=10_000)
    breaker.failed(sender.clock())
    spared = make_target(FakeBackend(whole(), name="a"), breaker=breaker)
    for targets in ((spared, make_target(unable("b"))), (make_target(unable("b")), spared)):
        assert isinstance((await sender.fail(*targets)).error, TargetSpared)


async def test_the_last_target_that_can_say_the_call_is_tried_again(sender: Sender) -> None:
    """Whoever stands behind it cannot help."""
    failed = await sender.fail(FakeBackend(DOWN, name="a"), unable("b"))
    assert (failed.error, failed.attempts, len(sender.waits_ms)) == (DOWN, 3, 2)


@pytest.mark.parametrize(("max_tries", "tries"), [(3, 2), (1, 1)])
def test_at_most_one_try_of_each_target_that_can_say_the_call_is_billed(max_tries: int, tries: int) -> None:
    """What cannot say it is not asked, and what may have answered is not asked again."""
    targets = (FakeBackend(whole()), unable("b"), FakeBackend(whole(), name="c"))
    route = make_route(*(make_target(target) for target in targets))
    assert count_billable(route, make_call(), Retries(max_tries=max_tries)) == tries


async def test_what_a_dialect_cannot_say_after_a_failure_does_not_hide_it(sender: Sender) -> None:
    """The first target was asked: its failure is what happened to the call."""
    failed = await sender.fail(FakeBackend(Truncated("cut"), name="a"), unable("b"))
    assert (type(failed.error), failed.target.backend.name, failed.attempts) == (Truncated, "a", 1)


@pytest.mark.parametrize(
    "error",
    [refusal(429), refusal(500), refusal(503), refusal(529), refusal(408), Unreachable("refused", sent=False)],
    ids=repr,
)
async def test_the_last_target_is_tried_again(sender: Sender, error: ProviderError) -> None:
    """429, 5xx and no connection may be over in a moment."""
    upstream = await sender.send(FakeBackend(error, whole()))
    assert (upstream.attempts, len(sender.waits_ms)) == (2, 1)


@pytest.mark.parametrize(
    "error",
    [
        refusal(400),
        refusal(401),
        refusal(402),
        refusal(403),
        refusal(404),
        refusal(422),
        PoolExhausted("full"),
        TimedOut("all", phase="total"),
    ],
    ids=repr,
)
async def test_what_will_not_change_is_not_tried_again(sender: Sender, error: ProviderError) -> None:
    """Another try would only cost time."""
    assert (await sender.fail(FakeBackend(error, whole()))).attempts == 1


@pytest.mark.parametrize(
    "error",
    [Unreachable("reset", sent=True), TimedOut("slow", phase="first_byte"), begun(TimedOut("slow", phase="idle")),
     InvalidAnswer("half a JSON"), Truncated("cut")],
    ids=["reset", "first_byte", "idle", "invalid", "cut"],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_what_may_have_been_executed_is_not_sent_again(
    sender: Sender, error: ProviderError, stream: bool
) -> None:
    """The provider may compute, and bill, the first one too."""
    assert (await sender.fail(FakeBackend(error, whole()), stream=stream)).attempts == 1


async def test_a_stream_that_does_not_begin_in_time_is_not_sent_again(sender: Sender) -> None:
    """It may still be computing, as a whole answer may."""
    slow = FakeBackend(TimedOut("slow", phase="first_byte"), whole())
    assert (await sender.fail(slow, stream=True)).attempts == 1


async def test_a_provider_that_says_not_to_retry_is_obeyed(sender: Sender) -> None:
    """x-should-retry: false."""
    assert (await sender.fail(FakeBackend(refusal(503, should_retry=False), whole()))).attempts == 1


async def test_a_provider_that_says_to_retry_is_obeyed(sender: Sender) -> None:
    """x-should-retry: true, on a status that is no trouble by itself."""
    assert (await sender.send(FakeBackend(refusal(409, should_retry=True), whole()))).attempts == 2


async def test_a_short_retry_after_is_waited_for(sender: Sender) -> None:
    """At least as long as the provider asks, and a little spread beyond."""
    await sender.send(FakeBackend(refusal(429, retry_after_ms=1_500), whole()))
    assert 1_500 < sender.waits_ms[0] <= 1_500 + 25


async def test_a_long_retry_after_is_not_waited_for(sender: Sender) -> None:
    """It goes to the caller, who can do something else meanwhile."""
    failed = await sender.fail(FakeBackend(refusal(429, retry_after_ms=10_001), whole()))
    assert (failed.attempts, sender.waits_ms) == (1, [])


async def test_tries_are_bounded(sender: Sender) -> None:
    """max_tries counts the first one too."""
    backend = FakeBackend(DOWN)
    failed = await sender.fail(backend)
    assert (failed.attempts, len(backend.requests)) == (3, 3)


async def test_tries_are_counted_over_all_targets(sender: Sender) -> None:
    """Four targets do not make twelve tries."""
    last = FakeBackend(DOWN, name="d")
    failed = await sender.fail(*(FakeBackend(DOWN, name=name) for name in "abc"), last)
    assert (failed.attempts, last.requests) == (3, [])


async def test_no_try_begins_beyond_the_time_budget(sender: Sender) -> None:
    """A wait that would end later is not begun."""
    sender.retries = Retries(max_tries=20, budget_ms=1_000, base_backoff_ms=400, max_backoff_ms=400)
    await sender.fail(FakeBackend(DOWN))
    assert sum(sender.waits_ms) <= 1_000


async def test_a_failure_names_the_last_error_and_its_target(sender: Sender) -> None:
    """What the caller is told is about the provider that said it."""
    failed = await sender.fail(FakeBackend(DOWN, name="a"), FakeBackend(CALLERS_FAULT, name="b"))
    assert (failed.error, failed.target.backend.name) == (CALLERS_FAULT, "b")


def opened(now_ns: int = 0) -> Breaker:
    """A breaker that opened at ``now_ns`` for ten seconds."""
    breaker = Breaker(failures=1, cooldown_ms=10_000)
    breaker.failed(now_ns)
    return breaker


async def test_a_spared_target_is_passed_over(sender: Sender) -> None:
    """Nothing is sent to it."""
    spared = FakeBackend(whole(), name="a")
    upstream = await sender.send(make_target(spared, breaker=opened()), FakeBackend(whole(), name="b"))
    assert (upstream.target.backend.name, spared.requests, upstream.attempts) == ("b", [], 1)


async def test_a_call_with_only_spared_targets_fails_unsent(sender: Sender) -> None:
    """503 provider_unavailable, and no try is counted."""
    failed = await sender.fail(make_target(FakeBackend(whole()), breaker=opened()))
    assert (failed.error.code, failed.error.sent, failed.attempts) == ("provider_unavailable", False, 0)


async def test_a_probe_that_succeeds_closes_the_breaker(sender: Sender) -> None:
    """After the cooldown one call decides."""
    breaker = opened()
    sender.clock.ns = SPARED_NS
    await sender.send(make_target(FakeBackend(whole()), breaker=breaker))
    assert breaker.state(sender.clock()) == "closed"


async def test_a_probe_that_fails_opens_it_again(sender: Sender) -> None:
    """The probe is not tried again, and the cooldown begins anew."""
    breaker = opened()
    sender.clock.ns = SPARED_NS
    failed = await sender.fail(make_target(FakeBackend(DOWN, whole()), breaker=breaker))
    assert (failed.attempts, breaker.state(sender.clock())) == (1, "open")


async def test_a_breaker_that_opens_ends_the_tries(sender: Sender) -> None:
    """A provider that failed often enough is spared by this call too."""
    breaker = Breaker(failures=2, cooldown_ms=9_000)
    failed = await sender.fail(make_target(FakeBackend(DOWN, DOWN, whole()), breaker=breaker))
    assert failed.attempts == 2


@pytest.mark.parametrize("error", [refusal(400), refusal(404), PoolExhausted("full")], ids=repr)
async def test_a_refusal_or_our_own_full_pool_opens_no_breaker(sender: Sender, error: ProviderError) -> None:
    """The provider is well."""
    breaker = Breaker(failures=1, cooldown_ms=10_000)
    await sender.fail(make_target(FakeBackend(error), breaker=breaker))
    assert breaker.state(sender.clock()) == "closed"


async def test_a_probe_that_finds_our_own_pool_full_leaves_the_next_one_to_decide(sender: Sender) -> None:
    """It told nothing of the target."""
    breaker = Breaker(failures=1, cooldown_ms=5)
    breaker.failed(sender.clock())
    sender.clock.pass_ms(5)
    await sender.fail(make_target(FakeBackend(PoolExhausted("full")), breaker=breaker))
    assert breaker.admits(sender.clock())


async def test_outcomes_are_counted_by_provider(sender: Sender) -> None:
    """Each try is one sample: ok, or the code of what went wrong."""
    await sender.send(FakeBackend(refusal(500), whole()))
    assert sender.services is not None
    assert sender.services.metrics.attempts == {("openai", "provider_error"): 1, ("openai", "ok"): 1}


async def test_time_spent_waiting_for_providers_is_counted(sender: Sender) -> None:
    """Tries count, the pauses in between do not: they are the gateway's own."""

    async def answer() -> Any:
        sender.clock.pass_ms(7)
        return whole()

    async def fail() -> Any:
        sender.clock.pass_ms(5)
        raise DOWN

    assert (await sender.send(FakeBackend(fail, answer))).waited_ns == 12_000_000


async def test_dropped_parameters_are_told(sender: Sender) -> None:
    """What a dialect left out goes into a header later."""
    quirk = Quirk(endpoint="chat/completions", param="messages", action="drop", reason="r", source="s", as_of="d")
    dialect = OpenAiDialect(endpoints=ENDPOINTS, quirks=(quirk,), asks_stream_usage=False, now_s=lambda: 0)
    assert (await sender.send(FakeBackend(whole(), dialect=dialect))).dropped == ("messages",)


async def test_a_failure_is_not_blamed_on_a_target_that_was_passed_over(sender: Sender) -> None:
    """The error and the target it is told of belong together."""
    spared = make_target(FakeBackend(whole(), name="b"), breaker=opened())
    failed = await sender.fail(FakeBackend(refusal(500), name="a"), spared)
    assert (failed.error.message, failed.target.backend.name) == ("no", "a")
