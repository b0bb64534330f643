"""Room 5: what is found, and what is asked for."""

import pytest
from caches import make_answer, make_caching
from fakes import FakeBackend, make_inbound, make_services, make_target

from gateway.errors import Fault
from gateway.pipeline.flow import Route
from gateway.pipeline.lookup import find

ROUTE = Route(targets=(make_target(FakeBackend()),), reason="")


async def test_only_asks_for_a_stored_answer_and_there_is_none() -> None:
    """504 cache_miss, and asking again will not help."""
    with pytest.raises(Fault) as missed:
        find(make_inbound(cache="only"), b"{}", ROUTE, make_services())
    assert (missed.value.status, missed.value.code, missed.value.should_retry) == (504, "cache_miss", False)


@pytest.mark.parametrize("wish", ["default", "off", "read", "write", "refresh"])
async def test_where_the_cache_is_off_every_other_wish_lets_the_call_go_on(wish: str) -> None:
    """Nothing is looked for and nothing is kept."""
    found = find(make_inbound(cache=wish), b"{}", ROUTE, make_services())
    assert b"bypass" in found.lines
    assert (found.given, found.joined, found.flight, found.key) == (None, None, None, None)


async def test_what_the_provider_is_asked_to_store_is_asked_each_time() -> None:
    """A kept answer would leave undone what the caller wants done there."""
    services = make_services(caching=make_caching(mode="exact"))
    assert find(make_inbound(), b'{"store":true}', ROUTE, services).key is None
    assert find(make_inbound(), b'{"seed":1}', ROUTE, services).key is not None


async def test_an_answer_that_cannot_be_given_again_is_a_miss() -> None:
    """What is wrong with what is kept harms no call: it is forgotten, and the provider is asked."""
    caching = make_caching(mode="exact")
    services = make_services(caching=caching)
    key = find(make_inbound(), b"{}", ROUTE, services).key
    assert key is not None
    caching.answers.keep(key, make_answer(body=b"not JSON"), ttl_s=60, saved_pusd=1)
    found = find(make_inbound(), b"{}", ROUTE, services)
    assert found.given is None
    assert found.key == key
    assert len(caching.answers) == 0
