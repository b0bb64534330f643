"""Proves what the provider table promises."""

import re

import msgspec
import pytest

from providers.registry import PROVIDERS, DialectName, Quirk, find_provider


def quirks(provider: str, endpoint: str, param: str) -> list[Quirk]:
    """Return a provider's quirks of one parameter in their order."""
    return [quirk for quirk in PROVIDERS[provider].quirks if (quirk.endpoint, quirk.param) == (endpoint, param)]


def test_the_table_has_the_documented_providers() -> None:
    """Four upstreams, the bundled model and the sandbox are known by name, each row under its own name."""
    assert list(PROVIDERS) == ["openai", "anthropic", "groq", "openrouter", "local", "sandbox"]
    assert all(name == row.name for name, row in PROVIDERS.items())


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_fact_has_a_source_and_a_date(name: str) -> None:
    """A row and each of its quirks say where the fact was read and when."""
    row = PROVIDERS[name]
    sources = [(row.source, row.as_of), *((quirk.source, quirk.as_of) for quirk in row.quirks)]
    assert all(source and re.fullmatch(r"\d{4}-\d\d-\d\d", as_of) for source, as_of in sources)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_rename_names_its_target_and_nothing_else_does(name: str) -> None:
    """``to`` is set exactly where the action is a rename."""
    assert all((quirk.action == "rename") == bool(quirk.to) for quirk in PROVIDERS[name].quirks)


@pytest.mark.parametrize(
    ("model", "concerned"),
    [
        ("o1", True),
        ("o3-mini", True),
        ("o4-mini-2025-04-16", True),
        ("gpt-5-nano", True),
        ("gpt-6-sol", True),
        ("gpt-4", False),
        ("gpt-4o", False),
        ("gpt-3.5-turbo", False),
    ],
)
def test_reasoning_models_alone_take_max_completion_tokens(model: str, concerned: bool) -> None:
    """OpenAI's reasoning models refuse max_tokens, so it goes out under its new name; others keep it."""
    (quirk,) = quirks("openai", "chat/completions", "max_tokens")
    assert (quirk.action, quirk.when, quirk.to) == ("rename", "any", "max_completion_tokens")
    assert model.startswith(quirk.models) is concerned


@pytest.mark.parametrize("param", ["logprobs", "top_logprobs", "logit_bias"])
def test_what_groq_does_not_support_is_refused_unless_it_asks_for_nothing(param: str) -> None:
    """The drop comes first, so that only a value which means something is refused."""
    told = [(quirk.when, quirk.action) for quirk in quirks("groq", "chat/completions", param)]
    assert told == [("unset", "drop"), ("any", "refuse")]


def test_groq_takes_one_choice() -> None:
    """n is refused above 1 only."""
    told = [(quirk.when, quirk.action) for quirk in quirks("groq", "chat/completions", "n")]
    assert told == [("null", "drop"), ("above_one", "refuse")]


@pytest.mark.parametrize("provider", ["openai", "openrouter"])
@pytest.mark.parametrize("param", ["encoding_format", "dimensions", "user"])
def test_null_never_reaches_an_embeddings_upstream(provider: str, param: str) -> None:
    """It is dropped, and no other value is touched."""
    assert [(quirk.when, quirk.action) for quirk in quirks(provider, "embeddings", param)] == [("null", "drop")]


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_quirks_concern_endpoints_that_the_provider_has(provider: str) -> None:
    """No row is there for nothing."""
    row = PROVIDERS[provider]
    assert {quirk.endpoint for quirk in row.quirks} <= row.endpoints


def test_cancelling_is_trusted_only_where_it_is_documented() -> None:
    """The answers follow OpenRouter's list, and through OpenRouter the hosts of the model."""
    trusted = {name: row.cancel_models for name, row in PROVIDERS.items() if row.cancel_stops_billing}
    assert trusted == {
        "openai": (),
        "anthropic": (),
        "openrouter": ("openai/", "x-ai/"),
        "local": (),
        "sandbox": (),
    }


def test_a_known_provider_keeps_its_quirks_at_another_address() -> None:
    """A base URL of the operator's changes where, not what."""
    row = find_provider("groq", "openai", "http://127.0.0.1:9/v1/")
    assert row == msgspec.structs.replace(PROVIDERS["groq"], base_url="http://127.0.0.1:9/v1")


def test_an_unknown_name_gets_the_protocols_row() -> None:
    """A server of the operator's own needs a name, a dialect and an address."""
    row = find_provider("vllm", "openai", "http://10.0.0.5:8000/v1")
    assert (row.name, row.auth, row.cancel_stops_billing) == ("vllm", "bearer", True)


@pytest.mark.parametrize("base_url", ["https://api.mistral.ai/v1", "https://us.aiplatform.googleapis.com/v1"])
def test_a_host_that_bills_on_is_not_cancelled(base_url: str) -> None:
    """An unknown provider at a host of the documented list is drained instead."""
    assert find_provider("other", "openai", base_url).cancel_stops_billing is False


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("base_url", ["https://api.example.com/v1", "http://127.0.0.1:8000/v1"])
def test_nobody_is_taken_to_stop_what_is_no_stream(base_url: str, dialect: DialectName) -> None:
    """Whatever stands at an address may pass calls on to a provider, which bills the whole answer."""
    assert find_provider("other", dialect, base_url).cancel_stops_whole_calls is False
    assert {name for name, row in PROVIDERS.items() if row.cancel_stops_whole_calls} == {"local", "sandbox"}


def test_a_known_name_with_another_dialect_is_a_new_provider() -> None:
    """The operator's dialect wins over the table."""
    row = find_provider("groq", "anthropic", "http://127.0.0.1:9")
    assert (row.dialect, row.auth, row.env_key) == ("anthropic", "x-api-key", "")


def test_a_provider_inside_the_gateway_needs_no_address() -> None:
    """The sandbox under another name is still the sandbox."""
    assert find_provider("play", "sandbox").dialect == "sandbox"


@pytest.mark.parametrize(("dialect", "missing"), [(None, "dialect"), ("openai", "base_url")])
def test_what_is_missing_is_named(dialect: str | None, missing: str) -> None:
    """An unknown provider without dialect or address is refused by name."""
    with pytest.raises(ValueError, match=rf"'vllm'.*{missing}"):
        find_provider("vllm", dialect)  # type: ignore[arg-type]  # a value from a file
