"""What a project sets takes the place of what the configuration says."""

from gateway.caching.policy import Policy, Wishes, combine
from gateway.config.settings import Cache

USUAL = Policy(
    mode="exact",
    ttl_s=86_400,
    scope="project",
    tool_calls=False,
    prompts=False,
    max_wrong_rate=None,
    max_wrong_hit_rate=0.01,
    semantic_judge_model="",
)


def test_without_wishes_the_configuration_holds() -> None:
    """Its own defaults included."""
    assert combine(Cache(), Wishes()) == USUAL


def test_each_wish_takes_the_place_of_one_setting() -> None:
    """Also where it is the opposite of a configured yes."""
    wishes = Wishes(mode="off", ttl_s=60, scope="key", tool_calls=False)
    policy = combine(Cache(tool_calls=True), wishes)
    assert (policy.mode, policy.ttl_s, policy.scope, policy.tool_calls) == ("off", 60, "key", False)


def test_one_bound_of_a_project_replaces_both_of_the_configuration() -> None:
    """Else a project could not choose which of the two it means."""
    settings = Cache(max_wrong_rate=0.5, max_wrong_hit_rate=0.4)
    bounds = combine(settings, Wishes(max_wrong_rate=0.02))
    assert (bounds.max_wrong_rate, bounds.max_wrong_hit_rate) == (0.02, None)
    both = combine(settings, Wishes(max_wrong_rate=0.02, max_wrong_hit_rate=0.03))
    assert (both.max_wrong_rate, both.max_wrong_hit_rate) == (0.02, 0.03)


def test_a_project_chooses_its_judge_or_none() -> None:
    """An empty name is a choice too: what would be asked for others is not for it."""
    settings = Cache(semantic_judge_model="gpt-4.1-mini")
    chosen = [combine(settings, Wishes(semantic_judge_model=name)).semantic_judge_model for name in (None, "", "own")]
    assert chosen == ["gpt-4.1-mini", "", "own"]
