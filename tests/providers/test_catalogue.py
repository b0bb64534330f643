"""Proves how names become models."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.catalogue import Catalogue, Match, closest, load_catalogue, read_catalogue
from providers.registry import PROVIDERS

CATALOGUE = load_catalogue()
ALL = frozenset(PROVIDERS)
MANIFEST = Path(__file__).parents[2] / "../shared/data/cassettes/manifest.jsonl"
# What the recorded calls asked for and no provider serves on these endpoints, typing errors among them.
UNSERVED = frozenset(
    "curie dall-e-2 dall-e-3 davinci:2023-07-21-v2 invalid-model llama-3.3-70b-versatlie nonexistent"
    " omni-moderation-latest text-moderation-006 text-moderation-007 this-model-does-not-exist-12345".split()
)


def recorded() -> list[tuple[str, str]]:
    """Return the models of the recorded calls; none in a lone clone."""
    lines = MANIFEST.read_text().splitlines() if MANIFEST.exists() else []
    calls = (json.loads(line) for line in lines)
    pairs = {(call["provider"], call.get("model")) for call in calls if call["provider"] in PROVIDERS}
    return sorted((provider, model) for provider, model in pairs if model and model not in UNSERVED)


def only(name: str, *available: str) -> tuple[str, str] | None:
    """Resolve a name that has at most one match."""
    matches = CATALOGUE.resolve(name, frozenset(available))
    assert len(matches) <= 1
    return (matches[0].provider, matches[0].model) if matches else None


@pytest.mark.parametrize(
    ("name", "home", "model"),
    [
        ("gpt-4", "openai", "gpt-4"),
        ("gpt-4-turbo", "openai", "gpt-4-turbo"),
        ("gpt-3.5-turbo", "openai", "gpt-3.5-turbo"),
        ("gpt-3.5-turbo-instruct", "openai", "gpt-3.5-turbo-instruct"),
        ("text-embedding-ada-002", "openai", "text-embedding-ada-002"),
        ("gpt-4o-2024-08-06", "openai", "gpt-4o-2024-08-06"),
        ("claude-3-haiku", "anthropic", "claude-3-haiku-20240307"),
        ("claude-3-5-sonnet", "anthropic", "claude-3-5-sonnet-20241022"),
        ("claude-3-opus", "anthropic", "claude-3-opus-20240229"),
        ("claude-sonnet-4-20250514", "anthropic", "claude-sonnet-4-20250514"),
        ("llama-3-8b", "groq", "openai/gpt-oss-20b"),
        ("llama-3-70b", "groq", "openai/gpt-oss-120b"),
        ("mixtral-8x7b", "groq", "openai/gpt-oss-120b"),
        ("openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
        ("groq/compound", "groq", "groq/compound"),
        ("all-MiniLM-L6-v2", "local", "all-MiniLM-L6-v2"),
        ("local/all-MiniLM-L6-v2", "local", "all-MiniLM-L6-v2"),
    ],
)
def test_a_known_name_goes_home(name: str, home: str, model: str) -> None:
    """Its own provider answers, also where OpenRouter could."""
    assert only(name, *ALL) == (home, model)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-4", "openai/gpt-4"),
        ("text-embedding-3-small", "openai/text-embedding-3-small"),
        ("claude-3-5-sonnet", "anthropic/claude-3.5-sonnet"),
        ("llama-3-8b", "meta-llama/llama-3-8b-instruct"),
        ("llama-3-70b", "meta-llama/llama-3-70b-instruct"),
        ("mixtral-8x7b", "mistralai/mixtral-8x7b-instruct"),
        ("openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("meta-llama/llama-3-8b-instruct", "meta-llama/llama-3-8b-instruct"),
        ("~anthropic/claude-opus-latest", "~anthropic/claude-opus-latest"),
        ("openrouter/openai/gpt-4o", "openai/gpt-4o"),
        ("openrouter/gpt-4o", "openai/gpt-4o"),
        ("openrouter/auto", "openrouter/auto"),
    ],
)
def test_openrouter_answers_where_it_is_alone(name: str, model: str) -> None:
    """With no other key, known names and OpenRouter's own ids go there."""
    assert only(name, "openrouter") == ("openrouter", model)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("anthropic/claude-3-opus", ("anthropic", "claude-3-opus-20240229")),
        ("groq/llama-3.3-70b-versatile", ("groq", "llama-3.3-70b-versatile")),
        ("openrouter/anthropic/claude-3.5-sonnet", ("openrouter", "anthropic/claude-3.5-sonnet")),
        ("vllm/Qwen/Qwen3-8B", ("vllm", "Qwen/Qwen3-8B")),
        ("sandbox/anything", ("sandbox", "anything")),
    ],
)
def test_a_prefix_names_the_provider(name: str, match: tuple[str, str]) -> None:
    """provider/model goes to exactly that provider, the operator's own included."""
    assert only(name, *ALL, "vllm") == match


@pytest.mark.parametrize(
    "name", ["openai/", "openai//gpt-4o", "openai/ gpt-4o", "openai/gpt\n4o", "openai/" + "x" * 201]
)
def test_a_malformed_model_after_a_prefix_is_nobodys(name: str) -> None:
    """What could not be a model's name is not sent anywhere."""
    assert only(name, *ALL) is None


def test_a_groq_name_never_goes_to_openai() -> None:
    """openai/gpt-oss-120b looks like a prefix, but OpenAI does not serve it."""
    assert only("openai/gpt-oss-120b", "openai", "openrouter") == ("openrouter", "openai/gpt-oss-120b")
    assert only("gpt-oss-120b", "openai") is None


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("gpt-9-preview", "openai"),
        ("o4-giga", "openai"),
        ("claude-opus-9", "anthropic"),
        ("ft:gpt-4o:org::id", "openai"),
    ],
)
def test_tomorrows_model_goes_to_its_family(name: str, home: str) -> None:
    """A well-formed name of a known family needs no new release of the gateway."""
    assert only(name, *ALL) == (home, name)


@pytest.mark.parametrize(
    "name",
    ["", "nonexistent", "gpt-9 turbo", "gpt-" + "9" * 128, "claude-\u00e9", "GPT-9", "unknown-vendor/model", "/", "o9"],
)
def test_what_nobody_serves_resolves_to_nothing(name: str) -> None:
    """No name is guessed."""
    assert CATALOGUE.resolve(name, ALL) == ()


@pytest.mark.parametrize("name", ["gpt-4", "gpt-9", "claude-3-opus", "openai/gpt-4o", "llama-3-8b", "all-MiniLM-L6-v2"])
def test_nothing_resolves_without_a_provider(name: str) -> None:
    """A name alone reaches nobody."""
    assert CATALOGUE.resolve(name, frozenset()) == ()


@given(st.text(max_size=300), st.frozensets(st.sampled_from(sorted(ALL))))
def test_a_match_is_always_available(name: str, available: frozenset[str]) -> None:
    """Whatever the name, nobody is asked who is not there, and the answer is the same again."""
    matches = CATALOGUE.resolve(name, available)
    assert all(match.provider in available and match.model for match in matches)
    assert CATALOGUE.resolve(name, available) == matches


@pytest.mark.parametrize(("provider", "model"), recorded())
def test_the_recorded_calls_models_resolve(provider: str, model: str) -> None:
    """Every model that the recordings' providers answered for can be called there."""
    name = f"openrouter/{model}" if provider == "openrouter" else model
    assert [match.provider for match in CATALOGUE.resolve(name, frozenset({provider}))] == [provider]


@pytest.mark.parametrize(
    ("provider", "model", "tokens"),
    [
        ("openai", "gpt-4", 8192),
        ("openai", "gpt-4o", 16384),
        ("anthropic", "claude-3-opus-20240229", 4096),
        ("anthropic", "claude-sonnet-4-5-20250929", 64000),
        ("groq", "openai/gpt-oss-120b", 65536),
        ("openai", "gpt-9", None),
    ],
)
def test_the_longest_reply_is_known(provider: str, model: str, tokens: int | None) -> None:
    """By the upstream's name; an unknown model has none."""
    assert CATALOGUE.max_output_tokens(provider, model) == tokens


def test_every_chat_model_but_the_newest_has_its_longest_reply() -> None:
    """Holds need a bound; names without one are counted here so that their number stays small."""
    rows = [
        CATALOGUE.row(home, model)
        for home in ("openai", "anthropic", "groq")
        for model in CATALOGUE.provider_models(home)
    ]
    unknown = {row.name for row in rows if row is not None and row.kind == "chat" and row.max_output_tokens is None}
    assert unknown == {"claude-fable-5-2", "claude-mythos-5-2"}


def test_listed_names_can_be_called() -> None:
    """Every card's id resolves to the card's provider and model."""
    for available in (ALL, frozenset({"openrouter"}), frozenset({"groq", "local"})):
        cards = CATALOGUE.names(available)
        assert [Match(card.provider, card.model) for card in cards] == [
            CATALOGUE.resolve(card.id, available)[0] for card in cards
        ]


def test_names_are_listed_once_and_in_order() -> None:
    """The list is stable."""
    ids = [card.id for card in CATALOGUE.names(ALL)]
    assert ids == sorted(set(ids))
    assert {"gpt-4", "claude-3-5-sonnet", "llama-3-70b", "local/all-MiniLM-L6-v2"} <= set(ids)


def test_what_only_responses_serves_is_not_listed() -> None:
    """A client that reads the list may call all of it."""
    assert "gpt-5-pro" not in {card.id for card in CATALOGUE.names(ALL)}


def test_without_providers_the_list_is_empty() -> None:
    """Nothing is listed that cannot be called."""
    assert CATALOGUE.names(frozenset()) == []


def test_a_card_is_dated_by_its_models_name() -> None:
    """OpenAI's ``created`` is in seconds; where no name tells a day it is the table's."""
    created = {card.id: card.created for card in CATALOGUE.names(ALL)}
    assert created["claude-3-opus"] == int(datetime(2024, 2, 29, tzinfo=UTC).timestamp())
    assert created["gpt-4o"] == int(datetime(2026, 11, 21, tzinfo=UTC).timestamp())


def test_a_retired_model_is_marked() -> None:
    """A card tells that its provider ended the model, unless another provider answers."""
    at_home, through = (
        {card.id: card.deprecated for card in CATALOGUE.names(frozenset({provider}))}
        for provider in ("anthropic", "openrouter")
    )
    assert (at_home["claude-3-opus"], at_home["claude-opus-5"]) == (True, False)
    assert through["claude-3-opus"] is False


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gpt4o", "gpt-4o"),
        ("claude-sonet-4-5", "claude-sonnet-4-5"),
        ("LLAMA-3-70B", "llama-3-70b"),
        ("gtp-4", "gpt-4"),
    ],
)
def test_a_typing_error_finds_the_name(typed: str, meant: str) -> None:
    """The likeliest name comes first."""
    assert closest(typed, [card.id for card in CATALOGUE.names(ALL)])[0] == meant


def test_nothing_is_suggested_for_nonsense() -> None:
    """However long it is."""
    assert closest("\u4e2d" * 100_000, ["gpt-4"]) == []


def table(*lines: str) -> Catalogue:
    """Read a table of one provider."""
    rows = "\n".join(lines)
    return read_catalogue(f"[acme]\nsource = 'x'\nas_of = '2026-11-21'\nrows = '''\n{rows}\n'''\n")


@pytest.mark.parametrize("line", ["m size=3", "m kind=poem"])
def test_a_malformed_row_is_named(line: str) -> None:
    """An unknown key or kind ends in an error with provider and name."""
    with pytest.raises(ValueError, match="acme/m"):
        table(line)


def test_two_rows_of_one_name_are_refused() -> None:
    """Which one was meant could not be told."""
    with pytest.raises(ValueError, match="two rows of acme are named 'm'"):
        table("m", "n alias=m")


def test_a_row_that_leads_to_a_model_does_not_describe_it() -> None:
    """The model's own row tells its limits, whatever the order."""
    catalogue = table("short model=m out=1", "m out=2")
    assert catalogue.max_output_tokens("acme", "m") == 2
    assert catalogue.upstream("acme", "short") == "m"
