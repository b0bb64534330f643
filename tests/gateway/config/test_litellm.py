"""Proves the import of LiteLLM's configuration, whose result must always be one that loads."""

import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.litellm import LiteLLMError, convert_litellm
from gateway.config.loading import load_settings
from gateway.config.settings import Settings

GOLDEN = Path(__file__).parents[2] / "golden" / "litellm"
ENVIRON = {
    name: "k" for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "OPENROUTER_API_KEY", "AZURE_KEY")
}


def load(folder: Path, text: str) -> Settings:
    path = folder / "c.toml"
    path.write_text(text)
    return load_settings(path, ENVIRON)


def convert_entry(**params: object) -> str:
    return convert_litellm(yaml.safe_dump({"model_list": [{"model_name": "m", "litellm_params": params}]}))


def test_a_whole_file_becomes_this_text() -> None:
    """Providers, routes with fallbacks, prices and settings are carried over, the rest is named."""
    assert convert_litellm((GOLDEN / "config.yaml").read_text()) == (GOLDEN / "config.toml").read_text()


def test_the_whole_file_loads(tmp_path: Path) -> None:
    """What is printed passes ``watchllm check``."""
    settings = load(tmp_path, (GOLDEN / "config.toml").read_text())
    assert [target.provider for target in settings.models[0].targets] == ["openai", "azure", "anthropic", "hosted_vllm"]


@pytest.mark.parametrize(
    ("per_token", "per_mtok"),
    [(0.00003, "30"), ("6e-05", "60"), (0.00000015, "0.15"), (0, "0"), ("0.0000025", "2.5"), (1.25e-6, "1.25")],
)
def test_a_price_is_converted_exactly(tmp_path: Path, per_token: object, per_mtok: str) -> None:
    """USD per token times a million, without a float in between."""
    text = convert_entry(model="openai/m", input_cost_per_token=per_token)
    assert load(tmp_path, text).prices[0].input == per_mtok


@pytest.mark.parametrize("per_token", ["x", -1, 1e-14, float("inf"), float("nan"), 1e300, True])
def test_a_price_that_is_none_becomes_a_comment(tmp_path: Path, per_token: object) -> None:
    """Nothing is rounded and nothing is guessed."""
    text = convert_entry(model="openai/m", input_cost_per_token=per_token)
    assert load(tmp_path, text).prices == ()
    assert "# model_list[0]: input_cost_per_token" in text


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("openai/gpt-4", "openai", "gpt-4"),
        ("gpt-4", "openai", "gpt-4"),
        ("claude-3-opus", "anthropic", "claude-3-opus"),
        ("anthropic/claude-3-5-sonnet-20241022", "anthropic", "claude-3-5-sonnet-20241022"),
        ("groq/llama-3.1-8b-instant", "groq", "llama-3.1-8b-instant"),
        ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
    ],
)
def test_a_model_is_split_as_litellm_does(tmp_path: Path, model: str, provider: str, name: str) -> None:
    """The first part is the provider, and well-known names need none."""
    target = load(tmp_path, convert_entry(model=model)).models[0].targets[0]
    assert (target.provider, target.model) == (provider, name)


@pytest.mark.parametrize("prefix", ["ollama", "ollama_chat"])
@pytest.mark.parametrize("given", ["http://h:11434", "http://h:11434/", "http://h:11434/v1", None])
def test_ollama_is_called_where_it_speaks_openais_protocol(tmp_path: Path, prefix: str, given: str | None) -> None:
    """LiteLLM's address is that of Ollama's own, and has a default."""
    text = convert_entry(model=f"{prefix}/llama3", **({"api_base": given} if given else {}))
    base_url = load(tmp_path, text).providers[prefix].base_url
    assert base_url == ("http://h:11434/v1" if given else "http://localhost:11434/v1")


@pytest.mark.parametrize("name", ["w\u00ebird name", "a b", "x" * 257])
def test_a_name_that_cannot_be_called_becomes_a_comment(tmp_path: Path, name: str) -> None:
    """What is printed still loads."""
    text = convert_litellm(
        yaml.safe_dump({"model_list": [{"model_name": name, "litellm_params": {"model": "openai/m"}}]})
    )
    assert load(tmp_path, text).models == ()
    assert "is not a model name here" in text


def test_two_addresses_of_one_provider_are_two_providers(tmp_path: Path) -> None:
    """Each keeps its own address and key."""
    entries = [
        {"model_name": "m", "litellm_params": {"model": "openai/x", "api_base": f"http://h{n}/v1", "api_key": "k"}}
        for n in range(3)
    ]
    providers = load(tmp_path, convert_litellm(yaml.safe_dump({"model_list": entries}))).providers
    assert [providers[name].base_url for name in ("openai", "openai-2", "openai-3")] == [
        "http://h0/v1",
        "http://h1/v1",
        "http://h2/v1",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [("a: [", "is not YAML"), ("[]", "there is no model_list"), ("model_list: 3", "there is no model_list")],
)
def test_another_file_is_refused(text: str, why: str) -> None:
    """The message says what was expected."""
    with pytest.raises(LiteLLMError, match=why):
        convert_litellm(text)


def test_no_yaml_tag_builds_an_object() -> None:
    """A configuration from elsewhere runs no code."""
    with pytest.raises(LiteLLMError, match="is not YAML"):
        convert_litellm("model_list: !!python/object/apply:os.system [true]")


WORDS = st.text(max_size=12) | st.sampled_from(
    ["openai/a", "azure/b", "groq/*", "os.environ/OPENAI_API_KEY", "http://h"]
)
PARAMS = st.dictionaries(
    st.sampled_from(
        ["model", "api_key", "custom_llm_provider", "input_cost_per_token", "output_cost_per_token", "rpm"]
    ),
    WORDS | st.floats() | st.none(),
)
ENTRIES = st.lists(st.fixed_dictionaries({"model_name": WORDS, "litellm_params": PARAMS}) | st.none(), max_size=4)


@settings(max_examples=30)
@given(ENTRIES, st.lists(st.dictionaries(WORDS, st.lists(WORDS))))
def test_whatever_is_read_gives_toml(entries: list[object], fallbacks: list[object]) -> None:
    """Names from elsewhere, quotes and control characters included, cannot break the text."""
    text = yaml.safe_dump({"model_list": entries, "litellm_settings": {"fallbacks": fallbacks}})
    tomllib.loads(convert_litellm(text))
