"""Room 4: names become targets, the same ones every time."""

from typing import Any, cast

import pytest
from fakes import CALLER, TESTER, FakeBackend
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.backends.interface import Backend
from gateway.backends.purses import Purse
from gateway.config.settings import Breaker
from gateway.errors import Fault
from gateway.pipeline import route as module
from gateway.pipeline.flow import Route
from gateway.pipeline.route import MAX_CACHED_ROUTES, RouteTable, choose
from providers.catalogue import Catalogue, ModelRow

CATALOGUE = Catalogue(
    (
        ModelRow(provider="openai", name="gpt-4", model="gpt-4-0613", kind="chat", openrouter="openai/gpt-4"),
        ModelRow(provider="anthropic", name="claude", model="claude-1", kind="chat"),
    ),
    "2026-01-01",
)


def table(*names: str, **parts: Any) -> RouteTable:
    """A table with backends of these names and the sandbox; parts given win."""
    backends = {name: cast("Backend", FakeBackend(name=name)) for name in (*names, "sandbox")}
    usual: dict[str, Any] = {"aliases": {}, "served": {}, "catalogue": CATALOGUE, "breaker": Breaker(failures=2)}
    return RouteTable(backends=backends, **{**usual, **parts})


def names(route: Route | None) -> list[tuple[str, str]]:
    """Provider and model of each target."""
    assert route is not None
    return [(target.backend.name, target.model) for target in route.targets]


def test_an_alias_goes_to_its_targets_in_order() -> None:
    """The operator's list is the order of trying."""
    aliases = {"fast": (("groq", "llama"), ("openai", "gpt-4"))}
    assert names(table("openai", "groq", aliases=aliases).find("fast")) == [("groq", "llama"), ("openai", "gpt-4")]


def test_an_alias_wins_over_everything() -> None:
    """A name of the catalogue can be given another meaning."""
    found = table("openai", "vllm", aliases={"gpt-4": (("vllm", "mine"),)}, served={"openai": ("gpt-4",)}).find("gpt-4")
    assert names(found) == [("vllm", "mine")]


def test_a_providers_own_list_wins_over_the_catalogue() -> None:
    """Who says it serves a name is asked for it, by that name."""
    assert names(table("openai", "vllm", served={"vllm": ("gpt-4",)}).find("gpt-4")) == [("vllm", "gpt-4")]


def test_the_catalogue_knows_the_upstreams_name() -> None:
    """Callers use the documents' names."""
    assert names(table("openai").find("gpt-4")) == [("openai", "gpt-4-0613")]


def test_a_model_without_its_provider_goes_through_openrouter() -> None:
    """With that key alone, the names still work."""
    assert names(table("openrouter").find("gpt-4")) == [("openrouter", "openai/gpt-4")]


def test_a_provider_of_any_name_gets_what_nobody_else_answers() -> None:
    """models = ["*"] comes last."""
    found = table("openai", "vllm", served={"vllm": ("*",)})
    assert (names(found.find("gpt-4")), names(found.find("mine"))) == ([("openai", "gpt-4-0613")], [("vllm", "mine")])


def test_an_unknown_name_has_no_route() -> None:
    """Nobody is asked for it."""
    assert table("openai").find("nonsense") is None


def test_a_model_of_a_provider_that_is_not_configured_has_no_route() -> None:
    """Only backends that exist are routed to."""
    assert table("openai").find("claude") is None


def test_targets_of_one_provider_and_model_share_their_breaker() -> None:
    """Whatever name leads there, its failures are counted together."""
    shared = table("openai", aliases={"a": (("openai", "x"),), "b": (("openai", "x"),)})
    first, second = shared.find("a"), shared.find("b")
    assert first is not None
    assert second is not None
    assert first.targets[0].breaker is second.targets[0].breaker


def test_invented_names_do_not_grow_the_table_without_bound() -> None:
    """A key can ask for any number of names."""
    grown = table("vllm", served={"vllm": ("*",)})
    for number in range(MAX_CACHED_ROUTES + 10):
        grown.find(f"m{number}")
    assert len(grown.targets) == MAX_CACHED_ROUTES


def test_the_sandboxs_targets_are_not_kept() -> None:
    """A test key may name any model."""
    kept = table("openai")
    kept.sandbox("anything")
    assert kept.targets == []


@given(st.text(max_size=60))
def test_no_name_can_inject_a_header(model: str) -> None:
    """The lines that name the target are two, whatever the model is called."""
    (target,) = table("openai").sandbox(model).targets
    assert target.lines.count(b"\r\n") == target.lines.count(b"\n") == target.lines.count(b"\r") == 2


def test_cards_list_aliases_own_lists_and_the_catalogue_in_order() -> None:
    """Every callable name once, sorted; "*" is none."""
    cards = table("openai", aliases={"fast": (("openai", "x"),)}, served={"openai": ("mine", "*", "gpt-4")}).cards()
    assert [card.id for card in cards] == ["fast", "gpt-4", "mine"]


def test_every_card_can_be_called() -> None:
    """What the list offers has a route."""
    offered = table("openai", "anthropic", aliases={"fast": (("openai", "x"),)})
    assert [card.id for card in offered.cards() if offered.find(card.id) is None] == []


def test_a_test_key_goes_to_the_sandbox_whatever_it_names() -> None:
    """Even a name that only a real provider has."""
    assert names(choose(table("openai"), "gpt-4", TESTER)) == [("sandbox", "gpt-4")]


def test_a_live_key_never_reaches_the_sandbox_by_a_name() -> None:
    """Free answers are for test keys."""
    with pytest.raises(Fault):
        choose(table("openai"), "sandbox/gpt-4", CALLER)


def test_a_key_may_use_the_models_it_is_limited_to() -> None:
    """The caller's name counts, not the upstream's."""
    caller = replace(CALLER, allowed_models=frozenset({"gpt-4"}))
    assert names(choose(table("openai"), "gpt-4", caller)) == [("openai", "gpt-4-0613")]


def test_a_key_may_not_use_other_models() -> None:
    """403, before it is told whether the model exists."""
    caller = replace(CALLER, allowed_models=frozenset({"gpt-4"}))
    with pytest.raises(Fault) as refused:
        choose(table("openai"), "nonsense", caller)
    assert (refused.value.status, refused.value.code, refused.value.param) == (403, "insufficient_scope", "model")


def test_a_test_key_keeps_to_its_models_too() -> None:
    """The sandbox would answer any."""
    tester = replace(TESTER, allowed_models=frozenset({"gpt-4o-mini"}))
    assert names(choose(table("openai"), "gpt-4o-mini", tester)) == [("sandbox", "gpt-4o-mini")]
    with pytest.raises(Fault) as refused:
        choose(table("openai"), "zzz", tester)
    assert refused.value.code == "insufficient_scope"


def test_a_refusal_names_the_models_that_the_key_may_use() -> None:
    """The likeliest first, some of many, and what to do."""
    many = frozenset({"gpt-4o-mini", *(f"a{number}" for number in range(20))})
    with pytest.raises(Fault) as refused:
        choose(table("openai"), "gpt-4o-min", replace(CALLER, allowed_models=many))
    message = refused.value.message
    assert "its allowed_models are 'gpt-4o-mini', 'a0'" in message
    assert "and 13 more. Name one of them" in message


def test_a_key_that_is_left_without_a_model_says_so() -> None:
    """There is none to name."""
    with pytest.raises(Fault) as refused:
        choose(table("openai"), "gpt-4", replace(CALLER, allowed_models=frozenset()))
    assert "'gpt-4', nor any other" in refused.value.message


def test_an_unknown_model_is_refused_with_close_names() -> None:
    """A typing error is seen at once."""
    with pytest.raises(Fault) as refused:
        choose(table("openai"), "gtp-4", CALLER)
    fault = refused.value
    assert (fault.status, fault.code, fault.param) == (400, "invalid_model", "model")
    assert "Did you mean 'gpt-4'?" in fault.message


@given(st.text(min_size=1, max_size=300))
def test_any_unknown_name_is_refused_within_bounds(model: str) -> None:
    """The name is quoted and cut, so no message carries a megabyte or a line end."""
    with pytest.raises(Fault) as refused:
        choose(table(), model, CALLER)
    assert len(refused.value.message) < 400
    assert "\n" not in refused.value.message


def purse(*names: str, serial: int = 1) -> Purse:
    """Stored credentials for these providers."""
    backends = {name: cast("Backend", FakeBackend(name=name)) for name in names}
    credential_ids = {name: f"cred_{name}_{serial % 10}" for name in names}
    return Purse(key=tuple(range(serial, serial + len(names))), backends=backends, credential_ids=credential_ids)


def test_without_a_purse_the_table_is_the_configured_one() -> None:
    """Nothing is copied for a project that stored nothing."""
    configured = table("openai")
    assert configured.of(purse()) is configured


def test_a_purse_makes_its_providers_callable() -> None:
    """For its projects alone; one purse is one table."""
    configured = table("openai")
    own = configured.of(purse("anthropic"))
    assert (names(own.find("claude")), configured.find("claude")) == ([("anthropic", "claude-1")], None)
    assert [card.id for card in own.cards()] == ["claude", "gpt-4"]
    assert configured.of(purse("anthropic")) is own
    assert configured.of(purse("anthropic", serial=9)) is not own


def test_a_purses_backend_takes_the_place_of_the_configured_one_with_a_breaker_of_its_own() -> None:
    """What it does not replace is shared, breaker and all; what it replaces spares nobody else."""
    configured = table("openai", "groq", aliases={"both": (("openai", "m"), ("groq", "m"))})
    mine = purse("openai")
    route, own = configured.find("both"), configured.of(mine).find("both")
    assert route is not None
    assert own is not None
    assert own.targets[0].backend is mine.backends["openai"]
    assert own.targets[0].breaker is not route.targets[0].breaker
    assert own.targets[1] is route.targets[1]
    for _ in range(2):
        own.targets[0].breaker.failed(0)
    assert configured.count_spared(0) == {"openai": 1, "groq": 0}
    assert route.targets[0].breaker.admits(0)


def test_a_credential_has_one_breaker_that_every_process_names_alike() -> None:
    """Whichever tables call with it; another credential at the same provider has another."""
    configured = table("openai")
    first, again, other = purse("openai"), purse("openai", serial=11), purse("openai", serial=2)
    breakers = [one.targets[0].breaker for held in (first, again, other) if (one := configured.of(held).find("gpt-4"))]
    assert breakers[0] is breakers[1]
    assert breakers[0] is not breakers[2]
    assert configured.breakers() == {
        "openai\ngpt-4-0613\ncred_openai_1": breakers[0],
        "openai\ngpt-4-0613\ncred_openai_2": breakers[2],
    }


def test_tables_of_purses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so are the names in each; callers can invent them."""
    monkeypatch.setattr(module, "MAX_OWN_TABLES", 2)
    monkeypatch.setattr(module, "MAX_OWN_ROUTES", 3)
    configured = table("openai")
    for serial in range(5):
        own = configured.of(purse("groq", serial=serial + 1))
        for number in range(9):
            assert names(own.find(f"groq/x{number}")) == [("groq", f"x{number}")]
        assert len(own.targets) <= 3
    assert len(configured._own) <= 2
