"""Room 5: what is found, and what is asked for."""

import json

import pytest
from caches import make_answer, make_caching
from fakes import CALLER, FakeBackend, FakeClient, make_call, make_inbound, make_services, make_target, whole

from gateway.caching.answers import NS_PER_S
from gateway.caching.policy import Wishes, combine
from gateway.config.settings import Cache
from gateway.errors import Fault
from gateway.pipeline.flow import Route
from gateway.pipeline.lookup import find
from gateway.pipeline.run import run

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
    for asks in (b'{"store":true}', b'{"store" :\n true}', b'{"store":false,"x":{"store":1}}', b'{"store":  "false"}'):
        assert find(make_inbound(), asks, ROUTE, services).key is None
    for asks_not in (b'{"seed":1}', b'{"store":false}', b'{"store" :  null }', b'{"user":"store"}'):
        assert find(make_inbound(), asks_not, ROUTE, services).key is not None


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


@pytest.mark.parametrize("wish", ["default", "read"])
async def test_a_call_whose_reply_is_limited_opens_nothing_to_others(wish: str) -> None:
    """What it gets may be cut; it follows one without a limit."""
    caching = make_caching(mode="exact")
    services = make_services(caching=caching)
    call = make_call(stream=True)
    limited = find(make_inbound(call, cache=wish, limited_tokens=5), call.body, ROUTE, services)
    assert len(caching.flights) == 0
    # Its pieces are kept for the cache alone, where anything of it is.
    assert (limited.flight is None) is (wish == "read")
    free = find(make_inbound(call), call.body, ROUTE, services)
    assert find(make_inbound(call, limited_tokens=5), call.body, ROUTE, services).joined is free.flight


async def test_calls_of_tools_are_not_given_once_that_is_not_wanted_any_more() -> None:
    """However often they were given before; other answers are."""
    caching = make_caching(mode="exact", tool_calls=True)
    services = make_services(caching=caching)
    said = {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": {"name": "f"}}]}
    plain = {"role": "assistant", "content": "Hi."}
    for body, message, finish in ((b'{"seed":1}', said, "tool_calls"), (b'{"seed":2}', plain, "stop")):
        key = find(make_inbound(), body, ROUTE, services).key
        assert key is not None
        choice = {"index": 0, "message": message, "finish_reason": finish}
        answer = make_answer(body=json.dumps({"id": "x", "created": 1, "choices": [choice]}).encode())
        caching.answers.keep(key, answer, ttl_s=60, saved_pusd=1)
        assert find(make_inbound(), body, ROUTE, services).given is not None
    caching.directory._policies[CALLER.project_id] = combine(Cache(), Wishes(mode="exact", tool_calls=False))
    given = [find(make_inbound(), body, ROUTE, services).given for body in (b'{"seed":1}', b'{"seed":2}')]
    assert [each is not None for each in given] == [False, True]


async def test_an_answer_is_given_no_longer_than_is_wanted_now() -> None:
    """However long it was to be kept when it came; what its own call wanted kept stays."""
    caching = make_caching(mode="exact")
    services = make_services(caching=caching)
    whole_answer = b'{"id":"x","created":1,"choices":[{"index":0,"message":{"content":"Hi."},"finish_reason":"stop"}]}'
    at_ns = make_inbound().created_ns
    for body, ttl_s in ((b'{"seed":1}', 0), (b'{"seed":2}', 3_600)):
        key = find(make_inbound(), body, ROUTE, services).key
        assert key is not None
        answer = make_answer(body=whole_answer, created_ns=at_ns - 2 * NS_PER_S, ttl_s=ttl_s)
        caching.answers.keep(key, answer, ttl_s=3_600, saved_pusd=1)
        assert find(make_inbound(), body, ROUTE, services).given is not None
    caching.directory._policies[CALLER.project_id] = combine(Cache(), Wishes(mode="exact", ttl_s=2))
    given = [find(make_inbound(), body, ROUTE, services).given for body in (b'{"seed":1}', b'{"seed":2}')]
    assert [each is not None for each in given] == [False, True]


async def test_who_wants_a_younger_answer_gets_none_that_is_older() -> None:
    """Neither what is kept, which stays, nor what was asked for before; one that is young enough is given."""
    caching = make_caching(mode="exact")
    services = make_services(caching=caching)
    call, now_ns = make_call(), make_inbound().created_ns
    leading = find(make_inbound(call, created_ns=now_ns - 5 * NS_PER_S), call.body, ROUTE, services)
    assert leading.key is not None
    for max_age_s, joins in ((6, True), (5, True), (4, False)):
        found = find(make_inbound(call, max_age_s=max_age_s), call.body, ROUTE, services)
        assert (found.joined is leading.flight) is joins
    whole_answer = b'{"id":"x","created":1,"choices":[{"index":0,"message":{"content":"Hi."},"finish_reason":"stop"}]}'
    answer = make_answer(body=whole_answer, created_ns=now_ns - 5 * NS_PER_S)
    caching.answers.keep(leading.key, answer, ttl_s=60, saved_pusd=1)
    for max_age_s, is_given in ((6, True), (5, False), (0, False), (None, True)):
        found = find(make_inbound(call, max_age_s=max_age_s), call.body, ROUTE, services)
        assert (found.given is not None) is is_given
    with pytest.raises(Fault):
        find(make_inbound(call, max_age_s=5, cache="only"), call.body, ROUTE, services)
    assert len(caching.answers) == 1


async def test_how_long_its_call_wants_an_answer_kept_is_kept_with_it() -> None:
    """0: it said nothing of that."""
    for ttl_s in (None, 5):
        caching = make_caching(mode="exact")
        await run(make_inbound(ttl_s=ttl_s), FakeClient(), make_services(FakeBackend(whole()), caching=caching))
        (item,) = caching.answers.of(CALLER.project_id)
        assert item.value.ttl_s == (ttl_s or 0)


async def test_an_answer_has_its_calls_tags() -> None:
    """As its row has them: without the blanks between."""
    caching = make_caching(mode="exact")
    await run(make_inbound(tags="aa , bb,,aa"), FakeClient(), make_services(FakeBackend(whole()), caching=caching))
    (item,) = caching.answers.of(CALLER.project_id)
    assert item.value.tags == ("aa", "bb")
