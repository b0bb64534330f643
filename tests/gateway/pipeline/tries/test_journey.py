"""A call on its way knows what it was sent as, and a target that was spared was sent nothing."""

from typing import cast

import pytest
from fakes import FakeBackend, FakeClient, make_call, make_inbound, make_services, make_target
from msgspec.structs import replace

from gateway.backends.interface import Client
from gateway.caching.batch import Batch
from gateway.pipeline.tries.journey import Journey, SendFailed, Shortened, TargetSpared


@pytest.mark.parametrize(("is_short", "is_there"), [(False, True), (True, True), (True, False)])
async def test_what_was_sent_is_the_short_form_where_the_target_is_the_one_that_it_is_for(
    is_short: bool, is_there: bool
) -> None:
    """Another target is sent all of it."""
    target, other = make_target(FakeBackend()), make_target(FakeBackend())
    journey = Journey(make_inbound(), cast("Client", FakeClient()), make_services())
    short = replace(make_call(), body=b"short")
    journey.short = Shortened(target, short, cast("Batch", None)) if is_short else None
    journey.target = target if is_there else other
    assert (journey.sent.call is short) == (is_short and is_there)
    assert (journey.sent is journey.inbound) != (is_short and is_there)


async def test_who_asks_is_at_first_who_waits() -> None:
    """Others may come to wait; who asked stays."""
    client = cast("Client", FakeClient())
    journey = Journey(make_inbound(), client, make_services())
    assert journey.asker is journey.client is client
    assert (journey.attempts, journey.begun, journey.is_ended) == (0, None, False)


def test_a_failure_tells_what_the_last_try_did() -> None:
    """Its message is the provider's error's; a spared target was sent nothing and is not tried again."""
    spared = TargetSpared("openai failed repeatedly and is spared for a while")
    failed = SendFailed(spared, make_target(FakeBackend()), 2, 5)
    assert str(failed) == spared.message
    assert (failed.attempts, failed.waited_ns) == (2, 5)
    assert (spared.sent, spared.retryable, spared.status) == (False, False, 503)
