"""The fields of request bodies: which values are refused and by which name, which pass, and which steer."""

import json
from typing import Any

import pytest
from fakes import chat_body
from request_bodies import CHAT, COMPLETIONS, EMBEDDINGS, HI, call_of, chat, refused

from gateway.surfaces.proxy.bodies import decode
from providers.wire import Call

REFUSED_FIELDS: list[tuple[str, str]] = [
    ('"n":0', "n"),
    ('"n":-1', "n"),
    ('"n":1.5', "n"),
    ('"n":"2"', "n"),
    ('"n":true', "n"),
    ('"n":129', "n"),
    ('"n":1000000', "n"),
    ('"max_tokens":0', "max_tokens"),
    ('"max_tokens":-5', "max_tokens"),
    ('"max_tokens":true', "max_tokens"),
    ('"max_tokens":"5"', "max_tokens"),
    ('"max_tokens":1000000000000', "max_tokens"),
    ('"max_completion_tokens":0', "max_completion_tokens"),
    ('"temperature":1e308', "temperature"),
    ('"temperature":-0.1', "temperature"),
    ('"temperature":"1"', "temperature"),
    ('"top_p":1.1', "top_p"),
    ('"stream":"true"', "stream"),
    ('"stream":1', "stream"),
    ('"stop":[' + ",".join(['"a"'] * 1_000) + "]", "stop"),
    ('"stop":5', "stop"),
    ('"tools":{}', "tools"),
    ('"tools":[null]', "tools[0]"),
    ('"tools":[{"type":"function","function":{"name":"a b"}}]', "tools[0].function.name"),
    ('"tools":[{"type":"function","function":{"name":"' + "x" * 500 + '"}}]', "tools[0].function.name"),
    ('"tools":[{"type":"function","function":{}}]', "tools[0].function.name"),
    ('"response_format":{"type":"exe"}', "response_format.type"),
    ('"response_format":"json"', "response_format"),
    ('"stream_options":{"include_usage":"yes"}', "stream_options.include_usage"),
]


@pytest.mark.parametrize(("more", "param"), REFUSED_FIELDS, ids=[more[:40] for more, _ in REFUSED_FIELDS])
def test_a_field_of_a_wrong_value_is_named(more: str, param: str) -> None:
    """error.param is the path to it."""
    assert refused(chat(more)).param == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (f"{{{HI}}}", "model"),
        (chat(model="null"), "model"),
        (chat(model="5"), "model"),
        (chat(model='""'), "model"),
        (chat(model='"' + "m" * 1_000_000 + '"'), "model"),
        ('{"model":"m"}', "messages"),
        ('{"model":"m","messages":null}', "messages"),
        ('{"model":"m","messages":[]}', "messages"),
        ('{"model":"m","messages":{"role":"user"}}', "messages"),
        ('{"model":"m","messages":"hi"}', "messages"),
        ('{"model":"m","messages":[null]}', "messages[0]"),
        ('{"model":"m","messages":[{"content":"hi"}]}', "messages[0].role"),
        ('{"model":"m","messages":[{"role":"root","content":"hi"}]}', "messages[0].role"),
        ('{"model":"m","messages":[{"role":"user","content":5}]}', "messages[0].content"),
        ('{"model":"m","messages":[{"role":"user","content":[{"type":"evil"}]}]}', "messages[0].content[0].type"),
        ('{"model":"m","messages":[{"role":"user","content":[{}]}]}', "messages[0].content[0].type"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_model_or_message_that_is_none_is_named(body: bytes | str, param: str) -> None:
    """What every chat needs."""
    assert refused(body).param == param


@pytest.mark.parametrize("role", ["user", "assistant", "system", "tool", "developer", "function"])
def test_every_role_passes(role: str) -> None:
    """What a role needs besides is the provider's business."""
    assert call_of(messages=[{"role": role, "content": "x"}]).model == "m"


@pytest.mark.parametrize(
    "kind",
    [
        "text", "image_url", "input_audio", "file", "refusal", "video_url", "input_video", "audio_url", "image_embeds",
        "audio_embeds", "document_url", "reference", "thinking", "redacted_thinking", "reasoning", "document",
        "search_result",
    ],
)  # fmt: skip
def test_every_part_of_a_message_passes(kind: str) -> None:
    """OpenAI's, OpenRouter's, vLLM's, Mistral's and Anthropic's."""
    assert call_of(messages=[{"role": "user", "content": [{"type": kind, kind: {}}]}]).model == "m"


@pytest.mark.parametrize("kind", ["text", "json_object", "json_schema", "structural_tag", "grammar", "regex", "json"])
def test_every_documented_format_of_a_reply_passes(kind: str) -> None:
    """OpenAI's, vLLM's, Fireworks', Together's and Hugging Face's."""
    assert call_of(response_format={"type": kind, kind: "x"}).model == "m"


@pytest.mark.parametrize("content", [None, "", []])
def test_a_message_may_say_nothing(content: Any) -> None:
    """An assistant's message with tool calls has no content."""
    assert call_of(messages=[{"role": "assistant", "content": content}]).model == "m"


@pytest.mark.parametrize(
    "field",
    [
        {"self": 1, "cls": 2, "request": {}, "data": {}},
        {"user_config": {"model_list": [{"litellm_params": {"api_base": "http://127.0.0.1"}}]}},
        {"api_base": "http://127.0.0.1", "base_url": "http://127.0.0.1", "api_key": "x"},
        {"chat_template": "{{ ''.__class__ }}", "chat_template_kwargs": {"a": 1}},
        {"success_callback": ["http://127.0.0.1"], "fallbacks": ["x"]},
        {"mock_response": "free!", "mock_timeout": True},
        {"user": "u" * 1_000_000},
        {"temperature": None, "n": None, "stop": None, "tools": None, "stream": None, "max_tokens": None},
    ],
    ids=lambda field: next(iter(field)),
)
def test_every_other_field_passes_unread(field: dict[str, Any]) -> None:
    """Known to others or to nobody, it steers nothing and stays as it is."""
    body = chat_body(**field)
    call = decode(CHAT, body)
    assert call == Call(endpoint=CHAT, body=body, model="m", is_plain=call.is_plain)


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "file:///etc/passwd", "data:image/png;base64,AA=="])
def test_addresses_in_messages_are_never_looked_at(url: str) -> None:
    """They are the provider's to fetch, or not."""
    part = {"type": "image_url", "image_url": {"url": url}}
    assert call_of(messages=[{"role": "user", "content": [part]}]).model == "m"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"stream": True}, {"stream": True}),
        ({"stream": False}, {}),
        ({"n": 3}, {"n": 3}),
        ({"max_tokens": 9}, {"max_tokens": 9}),
        ({"stream_options": {"include_usage": True}}, {"wants_usage": True}),
        ({"stream_options": {"include_usage": False}}, {}),
        ({"stream_options": {}}, {}),
        ({"stream_options": None}, {}),
    ],
)
def test_what_steers_the_gateway_is_read(field: dict[str, Any], expected: dict[str, Any]) -> None:
    """Stream, choices, limit and the wish for usage."""
    body = chat_body(**field)
    assert decode(CHAT, body) == Call(endpoint=CHAT, body=body, model="m", is_plain=True, **expected)


# --- completions and embeddings ---


@pytest.mark.parametrize("prompt", ["hi", ["a", "b"], [1, 2, 3], [[1, 2], [3]], "", None])
def test_every_form_of_a_prompt_passes(prompt: Any) -> None:
    """A text, texts, tokens, lists of tokens, and none."""
    assert decode(COMPLETIONS, json.dumps({"model": "m", "prompt": prompt}).encode()).endpoint == COMPLETIONS


def test_a_completion_is_steered_as_a_chat_is() -> None:
    """Stream, choices, limit and the wish for usage."""
    body = json.dumps(
        {
            "model": "m",
            "prompt": "x",
            "stream": True,
            "n": 2,
            "max_tokens": 3,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    assert decode(COMPLETIONS, body) == Call(
        endpoint=COMPLETIONS, body=body, model="m", stream=True, n=2, max_tokens=3, wants_usage=True
    )


def test_a_prompt_of_a_wrong_kind_is_named() -> None:
    """An object is none."""
    assert refused('{"model":"m","prompt":{}}', COMPLETIONS).param == "prompt"


@pytest.mark.parametrize("value", ["a", ["a", "b"], [1, 2], [[1], [2]]])
def test_every_form_of_an_input_passes(value: Any) -> None:
    """A text, texts, tokens, lists of tokens."""
    assert decode(EMBEDDINGS, json.dumps({"model": "m", "input": value}).encode()).endpoint == EMBEDDINGS


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ("", "input"),
        (',"input":[]', "input"),
        (',"input":null', "input"),
        (',"input":{}', "input"),
        (',"input":[-1,5]', "input[0]"),
        (',"input":[1.5]', "input[0]"),
        (',"input":"a","encoding_format":"hex"', "encoding_format"),
        (',"input":"a","dimensions":0', "dimensions"),
        (',"input":"a","dimensions":"3"', "dimensions"),
    ],
)
def test_an_embedding_that_is_none_is_named(more: str, param: str) -> None:
    """Input, format and dimensions are checked."""
    assert refused(f'{{"model":"m"{more}}}', EMBEDDINGS).param == param


def test_an_encoding_format_of_null_is_none() -> None:
    """Some clients send every field."""
    assert decode(EMBEDDINGS, b'{"model":"m","input":"a","encoding_format":null}').model == "m"


@pytest.mark.parametrize(("count", "is_allowed"), [(2_048, True), (2_049, False)])
def test_texts_of_one_embedding_are_bounded(count: int, is_allowed: bool) -> None:
    """OpenAI's 2,048."""
    body = json.dumps({"model": "m", "input": ["a"] * count}).encode()
    if is_allowed:
        assert decode(EMBEDDINGS, body).model == "m"
    else:
        assert refused(body, EMBEDDINGS).param == "input"


def test_tokens_of_one_text_are_no_texts() -> None:
    """A long document in tokens is one input."""
    assert decode(EMBEDDINGS, json.dumps({"model": "m", "input": [1] * 5_000}).encode()).model == "m"


@pytest.mark.parametrize(("given", "read"), [({}, None), ({"max_tokens": None}, None), ({"max_tokens": 0}, 0)])
def test_a_completion_may_ask_for_nothing_new(given: dict[str, Any], read: int | None) -> None:
    """OpenAI's takes 0 with echo and logprobs; that is a limit, and none given is none."""
    body = json.dumps({"model": "m", "prompt": "a", "echo": True, "logprobs": 1, **given}).encode()
    assert decode("completions", body).max_tokens == read
