"""Keys: whose answers are shared with whom."""

import itertools

import msgspec
import pytest
from caches import make_caching
from fakes import CALLER, TESTER, make_call

from gateway.caching.caching import MAX_PLACES
from gateway.caching.policy import Policy, Wishes, combine
from gateway.config.settings import Cache

TARGET = ("chat/completions", "openai", "gpt-4")
OTHER = ("chat/completions", "groq", "gpt-4")
BODY = b'{"model":"gpt-4"}'
SHARED = combine(Cache(), Wishes())
OWN = combine(Cache(), Wishes(scope="key"))


def test_a_project_shares_its_answers_or_each_key_has_its_own() -> None:
    """As the policy's scope says."""
    caching = make_caching()
    other_key = msgspec.structs.replace(CALLER, key_id="key_9")
    assert caching.key_of(CALLER, SHARED, TARGET, BODY) == caching.key_of(other_key, SHARED, TARGET, BODY)
    assert caching.key_of(CALLER, OWN, TARGET, BODY) != caching.key_of(other_key, OWN, TARGET, BODY)


def test_projects_kinds_endpoints_and_targets_never_meet() -> None:
    """Whatever differs of where a request goes or who asks makes another key, also with names that run together."""
    caching = make_caching()
    callers = [CALLER, msgspec.structs.replace(CALLER, project_id="proj_2"), TESTER]
    targets = [TARGET, ("completions", "openai", "gpt-4"), ("chat/completions", "openaig", "pt-4")]
    keys = [caching.key_of(caller, SHARED, target, BODY) for caller, target in itertools.product(callers, targets)]
    assert len(set(keys)) == len(callers) * len(targets)


def test_how_an_answer_is_streamed_does_not_matter() -> None:
    """One entry serves both forms."""
    caching = make_caching()
    streamed = b'{"stream":true,"model":"gpt-4","stream_options":{"include_usage":true}}'
    assert caching.key_of(CALLER, SHARED, TARGET, BODY) == caching.key_of(CALLER, SHARED, TARGET, streamed)


@pytest.mark.parametrize("policy", [SHARED, OWN])
def test_what_comes_again_has_the_key_that_it_had(policy: Policy) -> None:
    """Whoever sends it, and wherever it goes, remembered or not."""
    asking = list(itertools.product([CALLER, msgspec.structs.replace(CALLER, key_id="key_9"), TESTER], [TARGET, OTHER]))
    plain, caching = make_caching(), make_caching()
    for caller, _ in asking:
        caching.answers.repeats.keep(caller.key_id, BODY, make_call())
    expected = [plain.key_of(caller, policy, target, BODY) for caller, target in asking]
    for _ in range(2):
        assert [caching.key_of(caller, policy, target, BODY) for caller, target in asking] == expected


def test_a_body_that_names_a_member_twice_has_no_key_again() -> None:
    """What cannot be told once cannot be told later."""
    caching, twice = make_caching(), b'{"model":"a","model":"b"}'
    caching.answers.repeats.keep(CALLER.key_id, twice, make_call())
    assert [caching.key_of(CALLER, SHARED, TARGET, twice) for _ in range(2)] == [None, None]


def test_invented_models_are_not_remembered_for_ever() -> None:
    """Names come from callers: memory stays bounded, and keys stay the same."""
    caching = make_caching()
    first = caching.key_of(CALLER, SHARED, TARGET, BODY)
    for number in range(MAX_PLACES + 10):
        caching.key_of(CALLER, SHARED, ("chat/completions", "openai", f"m{number}"), BODY)
    assert len(caching._places) <= MAX_PLACES
    assert caching.key_of(CALLER, SHARED, TARGET, BODY) == first
