"""The caller's bytes reach a provider with the least change."""

import json
from typing import Any

import pytest

from providers.errors import Unsupported
from providers.openai.dialect import OpenAiDialect, ask_for_usage
from providers.registry import Quirk
from providers.wire import Call

ALL = frozenset({"chat/completions", "completions", "embeddings"})


def quirk(param: str, when: Any, action: Any, **more: Any) -> Quirk:
    words = {"reason": "it answers 400", "source": "https://example.com", "as_of": "2026-11-21"}
    return Quirk(endpoint="chat/completions", param=param, when=when, action=action, **(words | more))


def dialect(*quirks: Quirk, endpoints: frozenset[str] = ALL) -> OpenAiDialect:
    return OpenAiDialect(endpoints=endpoints, quirks=quirks, asks_stream_usage=True, now_s=lambda: 0)


def call(body: bytes, **more: Any) -> Call:
    return Call(endpoint="chat/completions", body=body, model=json.loads(body)["model"], **more)


BODY = b'{ "model" : "a",\n "messages":[{"role":"user","content":"say \\"model\\""}], "x_new": {"y": [1,2 ]} }'


def test_an_unchanged_call_is_the_same_bytes() -> None:
    """Not even white space moves: a provider's prompt cache sees the prefix it knows."""
    assert dialect().encode(call(BODY), "a").body == BODY


def test_another_model_changes_its_value_alone() -> None:
    """An alias is replaced in place."""
    assert dialect().encode(call(BODY), "b/c").body == BODY.replace(b'"a"', b'"b/c"')


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {"include_usage": True}),
        (',"stream_options":null', {"include_usage": True}),
        (',"stream_options":{}', {"include_usage": True}),
        (',"stream_options":{"include_usage":false,"z":1}', {"z": 1, "include_usage": True}),
    ],
)
def test_a_stream_is_asked_for_its_usage(options: str, expected: dict[str, Any]) -> None:
    """Whatever else the options say stays."""
    body = b'{"model":"a","stream":true' + options.encode() + b"}"
    assert json.loads(ask_for_usage(body))["stream_options"] == expected


def test_usage_that_the_client_asked_for_needs_no_change() -> None:
    """The body is right already."""
    body = b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}'
    assert dialect().encode(call(body, stream=True, wants_usage=True), "a").body == body


@pytest.mark.parametrize(
    ("when", "value", "fits"),
    [
        ("any", "1", True),
        ("null", "null", True),
        ("null", "1", False),
        ("unset", "false", True),
        ("unset", "true", False),
        ("above_one", "2", True),
        ("above_one", "1", False),
    ],
)
def test_a_quirk_acts_on_the_values_it_names(when: str, value: str, fits: bool) -> None:
    """A row is about certain values only."""
    body = b'{"model":"a","p":' + value.encode() + b"}"
    encoded = json.loads(dialect(quirk("p", when, "drop")).encode(call(body), "a").body)
    assert ("p" not in encoded) == fits


def test_a_dropped_wish_is_named() -> None:
    """The caller can read in a header what was left out."""
    request = dialect(quirk("p", "any", "drop")).encode(call(b'{"model":"a","p":1}'), "a")
    assert request.dropped == ("p",)


def test_a_refusal_names_the_parameter() -> None:
    """The caller has to change it."""
    with pytest.raises(Unsupported) as caught:
        dialect(quirk("p", "any", "refuse")).encode(call(b'{"model":"a","p":1}'), "a")
    assert caught.value.param == "p"


def test_a_renamed_parameter_keeps_its_value() -> None:
    """Reasoning models know max_completion_tokens only; where both stand, the new name wins."""
    row = quirk("max_tokens", "any", "rename", to="max_completion_tokens", models=("o1",))
    encode = dialect(row).encode
    assert encode(call(b'{"model":"o1","max_tokens":5}'), "o1").body == b'{"model":"o1","max_completion_tokens":5}'
    both = b'{"model":"o1","max_tokens":5,"max_completion_tokens":7}'
    assert encode(call(both), "o1").body == b'{"model":"o1","max_completion_tokens":7}'
    null = b'{"model":"o1","max_tokens":5,"max_completion_tokens": null}'
    assert encode(call(null), "o1").body == b'{"model":"o1","max_completion_tokens": 5}'
    assert encode(call(b'{"model":"gpt-4o","max_tokens":5}'), "gpt-4o").body == b'{"model":"gpt-4o","max_tokens":5}'


def test_an_endpoint_that_is_not_served_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(Unsupported):
        dialect(endpoints=frozenset({"embeddings"})).encode(call(BODY), "a")
