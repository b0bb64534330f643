"""Token counts for estimates."""

import hashlib
import json
import threading
from pathlib import Path

import msgspec
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from providers import tokens, vocabulary
from providers.tokens import Tokenizers, encoding_for, load_encoding, rule_for

CASSETTES = Path(__file__).resolve().parents[2] / "../shared/data/cassettes"
TOKENIZERS = Tokenizers()
# The names under which tiktoken looks for rank files in its cache: sha1 of their URL.
CACHE_NAMES = {
    vocabulary.CL100K_BASE: hashlib.sha1(vocabulary.CL100K_BASE.origin.encode(), usedforsecurity=False).hexdigest(),
    vocabulary.O200K_BASE: hashlib.sha1(vocabulary.O200K_BASE.origin.encode(), usedforsecurity=False).hexdigest(),
}


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-5.6-sol", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("openai/gpt-oss-120b", "o200k_base"),
        ("ft:gpt-4o-mini:acme::1", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("openrouter/openai/gpt-3.5-turbo", "cl100k_base"),
        ("text-embedding-ada-002", "cl100k_base"),
        ("claude-3-opus", "o200k_base"),
        ("llama-3-70b", "o200k_base"),
        ("what-nobody-knows", "o200k_base"),
        ("", "o200k_base"),
    ],
)
def test_a_model_has_the_encoding_of_the_longest_prefix(model: str, encoding: str) -> None:
    """Names are matched by their last part and the longest prefix; an unknown name has an encoding too."""
    assert encoding_for(model) == encoding


@pytest.mark.parametrize(
    ("model", "percent"),
    [
        ("gpt-4o", 100),
        ("claude-3-5-sonnet", 113),
        ("anthropic/claude-4.6-sonnet-20260217", 113),
        ("claude-opus-4-8", 138),
        ("claude-next", 138),
        ("meta-llama/llama-4-scout", 101),
        ("mixtral-8x7b", 104),
    ],
)
def test_a_model_of_another_house_has_a_factor(model: str, percent: int) -> None:
    """Where o200k only stands in, its count is scaled by a measured factor."""
    rule = rule_for(model)
    assert rule.numerator * 100 // rule.denominator == percent


@pytest.mark.parametrize("source", [vocabulary.CL100K_BASE, vocabulary.O200K_BASE], ids=lambda source: source.file)
def test_an_encoding_is_tiktokens_own(
    source: vocabulary.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranks and pattern equal those that tiktoken builds from its own download."""
    name = source.file.split(".")[0]
    (tmp_path / CACHE_NAMES[source]).write_bytes(vocabulary.unpack(source))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    theirs = openai_public.ENCODING_CONSTRUCTORS[name]()
    ours = load_encoding(name)
    assert isinstance(ours, tiktoken.Encoding)
    assert ours._pat_str == theirs["pat_str"]
    assert {token: ours.encode_single_token(token) for token in ours.token_byte_values()} == theirs["mergeable_ranks"]


def test_an_encoding_does_not_keep_what_it_never_reads() -> None:
    """The ranks as objects of Python, which take as much as the form that counts."""
    encoding = load_encoding("cl100k_base")
    assert isinstance(encoding, tiktoken.Encoding)
    assert not encoding._mergeable_ranks


def test_known_texts_have_known_counts() -> None:
    """Counts that OpenAI documents for cl100k, and the same text for its other encoding and for Claude."""
    assert TOKENIZERS.count("gpt-4", "tiktoken is great!") == 6
    assert TOKENIZERS.count("gpt-4o", "The quick brown fox jumps over the lazy dog") == 9
    assert TOKENIZERS.count("claude-3-opus", "The quick brown fox jumps over the lazy dog") == 11


def test_an_empty_text_is_no_token() -> None:
    """Nothing said costs nothing, with a factor or without."""
    assert TOKENIZERS.count("claude-3-opus", "") == 0


def test_special_tokens_in_text_are_text() -> None:
    """A caller who writes <|endoftext|> neither raises nor hides tokens."""
    assert TOKENIZERS.count("gpt-4o", "<|endoftext|>") > 1


@given(st.text(max_size=200))
def test_any_text_has_a_count_between_one_and_its_bytes(text: str) -> None:
    """Every text, lone surrogates included, is at least one token and at most one a byte."""
    count = TOKENIZERS.count("gpt-4o", text)
    assert (1 if text else 0) <= count <= len(text.encode("utf-8", "surrogatepass"))


def test_a_long_text_is_sampled_close_to_its_count() -> None:
    """Above 200,000 characters the work stays bounded and the estimate within 3 % of the exact count."""
    paragraphs = (
        f"Paragraph {i}: the price of item {i * 37} rose by {i % 90} percent, café owners said.\n" for i in range(3_500)
    )
    text = "".join(paragraphs)
    exact = len(load_encoding("o200k_base").encode_ordinary(text))
    assert TOKENIZERS.count("gpt-4o", text) == pytest.approx(exact, rel=0.03)


@given(st.integers(min_value=200_001, max_value=1_000_000))
def test_the_work_for_a_long_text_is_bounded(length: int) -> None:
    """However long the text, 200,000 characters are looked at, its first and its last among them."""
    samples = tokens._sample("<" + "-" * (length - 2) + ">")
    assert (sum(map(len, samples)), samples[0][0], samples[-1][-1]) == (200_000, "<", ">")


def test_a_chat_prompt_counts_as_openai_documents() -> None:
    """Three tokens and the role a message, three for the reply: the cookbook's rule on its own kind of example."""
    body = b'{"messages":[{"role":"system","content":"tiktoken is great!"},{"role":"user","content":"Hi"}]}'
    assert TOKENIZERS.count_prompt("gpt-4o", body) == 6 + 1 + 2 * 4 + 3


def test_a_chat_prompt_counts_parts_names_calls_and_schemas() -> None:
    """Every string that the model reads is counted: each field added makes the prompt longer."""
    message = {"role": "user", "content": [{"type": "text", "text": "one two three"}]}
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"city":"Oslo"}'}}
    steps = [
        {"messages": [message]},
        {"messages": [message | {"name": "alice"}]},
        {"messages": [message | {"name": "alice", "tool_calls": [call]}]},
        {"messages": [message | {"name": "alice", "tool_calls": [call]}], "tools": [{"function": {"name": "f"}}]},
    ]
    counts = [TOKENIZERS.count_prompt("gpt-4o", json.dumps(step).encode()) for step in steps]
    assert counts == sorted(set(counts))


def test_media_count_nothing() -> None:
    """A picture's base64 is not text: it would count as a million tokens."""
    plain = {"messages": [{"role": "user", "content": [{"type": "text", "text": "what is it"}]}]}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5_000}}
    shown = {"messages": [{"role": "user", "content": [*plain["messages"][0]["content"], picture]}]}
    counts = {TOKENIZERS.count_prompt("gpt-4o", json.dumps(body).encode()) for body in (plain, shown)}
    assert len(counts) == 1


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b'{"prompt":"tiktoken is great!"}', 6),
        (b'{"prompt":["tiktoken is great!","tiktoken is great!"]}', 12),
        (b'{"prompt":[1,2,3]}', 3),
        (b'{"input":[[1,2],[3]]}', 3),
        (b'{"input":"tiktoken is great!"}', 6),
        (b'{"input":null}', 0),
        (b'{"messages":7,"tools":{}}', 0),
    ],
)
def test_prompts_and_inputs_are_strings_or_tokens(body: bytes, count: int) -> None:
    """Completions and embeddings count strings, and token ids as they are; odd shapes count nothing."""
    assert TOKENIZERS.count_prompt("gpt-4", body) == count


def test_a_prompt_with_tools_for_claude_counts_what_anthropic_adds() -> None:
    """Anthropic puts its own instructions before tools; the estimate has them."""
    with_tools = TOKENIZERS.count_prompt("claude-3-opus", b'{"messages":[],"tools":[{}]}')
    assert with_tools >= 500


def test_a_body_that_is_no_json_is_refused() -> None:
    """An estimate is not made of garbage."""
    with pytest.raises(msgspec.DecodeError):
        TOKENIZERS.count_prompt("gpt-4o", b"{")


def test_threads_share_one_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads at the first count load the ranks once."""
    loads: list[str] = []
    encoding = load_encoding("cl100k_base")
    monkeypatch.setattr(tokens, "load_encoding", lambda name: loads.append(name) or encoding)
    tokenizers = Tokenizers()
    threads = [threading.Thread(target=tokenizers.count, args=("gpt-4", "Hi")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["cl100k_base"]


def recorded_replies(family: str) -> list[tuple[str, str, int]]:
    """(model, text, output tokens) of recorded JSON replies of plain text, without tools and hidden reasoning."""
    replies = []
    for item in map(json.loads, (CASSETTES / "manifest.jsonl").read_text().splitlines()):
        usage = item.get("usage_norm") or {}
        wanted = item["endpoint"] in ("chat", "messages") and family in str(item.get("model"))
        if item["status"] != 200 or not wanted or not usage.get("output_total") or usage.get("reasoning"):
            continue
        body = json.loads((CASSETTES / item["file"]).read_text())["response"]["body"]
        text = reply_text(json.loads(body)) if body.startswith("{") else ""
        if text:
            replies.append((item["model"], text, usage["output_total"]))
    return replies


def reply_text(body: dict) -> str:
    """The text of a chat or messages reply, empty when there is anything that is not text."""
    if "content" in body:
        textual = all(block["type"] == "text" for block in body["content"])
        return "".join(block["text"] for block in body["content"]) if textual else ""
    messages = [choice["message"] for choice in body["choices"]]
    odd = any(message.get("reasoning") or message.get("tool_calls") for message in messages)
    return "" if odd else "".join(message.get("content") or "" for message in messages)


if CASSETTES.exists():

    @pytest.mark.parametrize("family", ["gpt-3.5", "gpt-4o", "claude", "llama", "gemini"])
    def test_recorded_replies_are_estimated_within_a_tenth(family: str) -> None:
        """Over all recorded replies of a family the estimate is within 10 % of what the provider counted."""
        replies = recorded_replies(family)
        estimated = sum(TOKENIZERS.count(model, text) for model, text, _ in replies)
        assert estimated == pytest.approx(sum(count for *_, count in replies), rel=0.1)
