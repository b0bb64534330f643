"""Request bodies: what is checked, what passes unread, and what a refusal says."""

from typing import Any

import msgspec
import pytest
from fakes import chat_body
from hypothesis import given
from hypothesis import strategies as st
from request_bodies import CHAT, COMPLETIONS, EMBEDDINGS, HI, call_of, chat, refused

from gateway.budgets.exclusions import EXCLUSIONS, read_shape
from gateway.budgets.exclusions import PLAIN as SHAPE_OF_PLAIN
from gateway.errors import Fault
from gateway.surfaces.proxy.bodies import MAX_DEPTH, decode

# --- Plain chats ---

# Members that change nothing of what is billed, and messages that are text.
PLAIN = ["", '"stream":true,"n":2', '"temperature":0.2,"top_p":1,"stop":["a"],"seed":1,"user":"u","logprobs":true']
EXCLUDED = [member for exclusion in EXCLUSIONS for member in exclusion.members]
BILLED_OTHERWISE = [
    *[f'"{member}":{{}}' for member in EXCLUDED],
    '"tools":[]',
    '"functions":[]',
    '"service_tier":"priority"',
    '"modalities":["audio"]',
    '"audio":{"voice":"a"}',
    '"cache_control":{"type":"ephemeral","ttl":"1h"}',
    '"nobody_knows":1',
]


@pytest.mark.parametrize("more", PLAIN)
def test_a_chat_of_text_alone_is_plain(more: str) -> None:
    """It need not be searched for what is billed otherwise."""
    call = decode(CHAT, chat(more))
    assert call.is_plain
    assert read_shape(call) is read_shape(msgspec.structs.replace(call, is_plain=False)) is SHAPE_OF_PLAIN


@pytest.mark.parametrize("more", BILLED_OTHERWISE)
def test_a_chat_with_any_other_member_is_not_plain(more: str) -> None:
    """Neither with one that is billed otherwise nor with one that nobody knows yet."""
    assert not decode(CHAT, chat(more)).is_plain


@pytest.mark.parametrize(
    "message",
    [
        '{"role":"user","content":[{"type":"text","text":"a"}]}',
        '{"role":"user","content":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}',
        '{"role":"assistant","content":null,"audio":{"id":"a"}}',
        '{"role":"tool","content":"a","tool_call_id":"b"}',
    ],
)
def test_a_chat_with_another_message_is_not_plain(message: str) -> None:
    """What stands in it has to be read."""
    body = f'{{"model":"m","messages":[{message}]}}'.encode()
    assert not decode(CHAT, body).is_plain


# --- JSON ---

NOT_JSON: dict[str, bytes | str] = {
    "nothing": "",
    "white space": " \n\t",
    "truncated": '{"model":"m","messages":[{"role":"us',
    "followed by garbage": chat() + b" x",
    "an array": "[1,2,3]",
    "a text": '"hello"',
    "a number": "42",
    "null": "null",
    "NaN": chat('"temperature":NaN'),
    "Infinity": chat('"temperature":Infinity'),
    "a number that overflows": chat('"temperature":1e999'),
    "single quotes": "{'model':'m'}",
    "a comment": '{/*x*/"model":"m"}',
    "a trailing comma": chat()[:-1] + b",}",
    "a lone low surrogate": chat('"x":"a\\udc00b"').replace(b'"x"', b'"user"'),
    "surrogates in the wrong order": b'{"model":"m","messages":[{"role":"user","content":"\\ude00\\ud83d"}]}',
    "an invalid byte": bytes.fromhex("7b226d6f64656c223a22ff222c226d65737361676573223a5b5d7d"),
    "an overlong sequence": bytes.fromhex("7b226d6f64656c223a22c0af222c226d65737361676573223a5b5d7d"),
    "an encoded surrogate": bytes.fromhex("7b226d6f64656c223a22eda080222c226d65737361676573223a5b5d7d"),
    "an invalid byte in a field that passes": chat().replace(b'"model"', b'"x":"\xff","model"'),
    "a byte order mark": b"\xef\xbb\xbf" + chat(),
    "UTF-16": chat().decode().encode("utf-16-le"),
    "a raw line end in a text": chat('"x":"a\nb"'),
    "an integer of 400 digits": chat('"n":1' + "0" * 400),
    "an integer of 5,000 digits": chat('"n":1' + "0" * 5_000),
}


@pytest.mark.parametrize("kind", NOT_JSON)
def test_what_is_no_json_object_is_refused(kind: str) -> None:
    """400 invalid_request, before anything of it reaches a provider."""
    assert refused(NOT_JSON[kind]).code == "invalid_request"


def test_a_byte_that_is_not_utf8_is_told_by_its_place() -> None:
    """From the body's beginning, wherever it stands."""
    for body in (chat('"user":"a\xc3\xa9?"'), chat('"x":[1,"?"]'), chat('"?":1')):
        broken = body.replace(b"?", b"\xff")
        message = refused(broken).message
        assert f"at byte {broken.index(0xFF)}, b'\\xff'." in message


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"model":5,"zz":"\xff"}', "is not UTF-8"),
        (b'{"model":5,"zz":' + b"[" * 3_000 + b"]" * 3_000 + b"}", "nested deeper"),
        (b'{"model":"m","messages":' + b"[" * 1_500 + b"]" * 1_500 + b"}", "nested deeper"),
        (b'{"model":5} x', "is not valid JSON"),
        (b'{"model":5,"zz":1e999}', "'model' is out of range"),
    ],
    ids=["utf-8", "deep", "deep itself", "garbage", "range"],
)
def test_what_cannot_be_read_behind_a_wrong_field_is_told(body: bytes, told: str) -> None:
    """Reading it once more to show the field's value must not fail."""
    assert told in refused(body).message


def test_a_valid_surrogate_pair_is_a_character() -> None:
    """An emoji, as many encoders write it."""
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud83d\\ude00"}]}'
    assert decode(CHAT, body).body == body


@pytest.mark.parametrize("text", ["a\u2028b\u2029c\x85d", "é", "\\u0000", '\\"model\\"'])
def test_unusual_characters_pass_byte_for_byte(text: str) -> None:
    """Line separators, other scripts, escaped quotes and NUL are text."""
    body = f'{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}'.encode()
    assert decode(CHAT, body).body == body


def test_a_number_of_a_million_digits_in_a_field_that_passes_is_quick() -> None:
    """The time is that of reading it."""
    assert decode(CHAT, chat('"seed":0.' + "1" * 1_000_000)).model == "m"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_the_allowed_depth_passes(opening: str, closing: str) -> None:
    """The body itself is the first level."""
    depth = MAX_DEPTH - 1
    assert decode(CHAT, chat(f'"x":{opening * depth}{"" if opening == "[" else 1}{closing * depth}')).model == "m"


@pytest.mark.parametrize("depth", [MAX_DEPTH, 1_000, 100_000])
def test_a_body_that_is_too_deep_is_refused(depth: int) -> None:
    """A thousand brackets cost a provider's parser its stack."""
    assert f"deeper than {MAX_DEPTH}" in refused(chat(f'"x":{"[" * depth}{"]" * depth}')).message


def test_a_depth_of_both_kinds_of_brackets_is_counted_level_by_level() -> None:
    """Objects in arrays in objects: each is one level."""
    depth = MAX_DEPTH // 2 + 8
    body = chat('"x":' + '[{"a":' * depth + "1" + "}]" * depth)
    assert f"deeper than {MAX_DEPTH}" in refused(body).message


def test_a_depth_cannot_be_hidden_by_brackets_in_texts() -> None:
    """Texts that seem to close what is open, and to open what is closed."""
    body = chat('"x":' + '["]",' * 500 + "1" + ',"["]' * 500)
    assert f"deeper than {MAX_DEPTH}" in refused(body).message


def test_brackets_in_texts_are_no_depth() -> None:
    """Code is full of them."""
    assert call_of(user="[" * 1_000).model == "m"


# --- duplicates and hidden names ---


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ('"model":"b"', "model"),
        ('"stream":true,"stream":true', "stream"),
        ('"stream":false,"stream":true', "stream"),
        ('"stream":true,"stream":false', "stream"),
        ('"stream":true,"stream":null', "stream"),
        ('"n":1,"n":5', "n"),
        ('"n":5,"n":1', "n"),
        ('"max_tokens":5,"max_tokens":50', "max_tokens"),
        ('"max_tokens":50,"max_tokens":null', "max_tokens"),
        ('"max_completion_tokens":5,"max_completion_tokens":50', "max_completion_tokens"),
    ],
)
def test_a_field_that_steers_may_stand_once(more: str, name: str) -> None:
    """A parser here and one at the provider could each believe another value."""
    fault = refused(chat(more))
    assert (fault.param, "more than once" in fault.message) == (name, True)


@pytest.mark.parametrize("hidden", ["mode\\u006c", "\\u006dodel", "mod\\u0065l", "\\u006D\\u006F\\u0064\\u0065\\u006C"])
def test_a_second_model_cannot_be_hidden_by_escapes(hidden: str) -> None:
    """The same name, written so that a search for it finds one."""
    assert refused(chat(f'"{hidden}":"b"')).param == "model"


def test_a_name_written_with_escapes_is_refused() -> None:
    """Even once: no encoder does it."""
    fault = refused(f'{{"mod\\u0065l":"m",{HI}}}')
    assert (fault.param, "escapes" in fault.message) == ("model", True)


def test_both_token_limits_are_two_fields() -> None:
    """max_completion_tokens is the newer name and wins."""
    assert call_of(max_tokens=5, max_completion_tokens=7).max_tokens == 7


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [('"a"', 1), ("[1, 2, 3]", 1), ("[]", 1), ('["a"]', 1), ('["a", "b", "c"]', 3), ("[[1, 2], [3]]", 2)],
)
def test_each_prompt_of_a_completion_is_answered(prompt: str, prompts: int) -> None:
    """n times; a list of tokens is one prompt."""
    call = decode(COMPLETIONS, b'{"model":"m","n":2,"prompt":' + prompt.encode() + b"}")
    assert (call.prompts, call.answers) == (prompts, 2 * prompts)


@pytest.mark.parametrize("text", ['"model"', '"stream" "stream"', '"n" "n"', "a\\u0041b"])
def test_texts_that_look_like_fields_are_texts(text: str) -> None:
    """A prompt may speak of the API."""
    body = chat_body(stream=True, n=2, max_tokens=3, user=text)
    assert decode(CHAT, body).body == body


def test_members_of_deeper_objects_are_none_of_the_gateways() -> None:
    """metadata.model does not steer."""
    assert decode(CHAT, chat('"metadata":{"model":"x","model":"y"}')).model == "m"


# --- messages of refusals ---


def test_a_refusal_says_field_reason_and_value() -> None:
    """Enough to mend it without looking anything up."""
    message = refused(chat('"temperature":"hot"')).message
    assert "'temperature' is 'hot'" in message
    assert "expected" in message


@pytest.mark.parametrize(
    "body",
    [
        chat(model='"' + "m" * 1_000_000 + '"'),
        chat('"stop":[' + ",".join(['"' + "a" * 100 + '"'] * 1_000) + "]"),
        chat('"n":"' + "\\u0000" * 10_000 + '"'),
        chat('"response_format":{"type":"' + "x" * 100_000 + '"}'),
        b'{"model":"m","messages":[{"role":"' + b"r" * 100_000 + b'"}]}',
    ],
    ids=["model", "stop", "controls", "format", "role"],
)
def test_a_refusal_is_bounded(body: bytes) -> None:
    """A megabyte of value is cut."""
    assert len(refused(body).message) < 600


@given(st.binary(max_size=60))
def test_any_bytes_are_a_call_or_a_fault(data: bytes) -> None:
    """Nothing else is ever raised."""
    for endpoint in (CHAT, COMPLETIONS, EMBEDDINGS):
        try:
            decode(endpoint, data)
        except Fault as fault:
            assert fault.message.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["model", "messages", "stream", "n", "max_tokens", "tools", "stop", "stream_options", "other"])


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_any_values_of_the_fields_are_a_call_or_a_fault(fields: dict[str, Any]) -> None:
    """A chat whose fields hold anything."""
    body = chat_body(**fields)
    try:
        call = decode(CHAT, body)
    except Fault as fault:
        assert fault.status == 400
    else:
        assert call.body == body
