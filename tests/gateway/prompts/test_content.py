"""What is kept of a call: its words, within bounds, however the request and the answer say them."""

import json
from typing import Any

import pytest

from gateway.prompts.content import MAX_TEXT_BYTES, Content, Said, Streamed, pack, read_content, unpack
from providers.openai.recorded import record_body, record_stream

CHAT, LEGACY, EMBEDDINGS = "chat/completions", "completions", "embeddings"


def chat(*messages: Any) -> bytes:
    """A chat's body."""
    return json.dumps({"model": "m", "messages": messages}).encode()


def said(body: bytes, endpoint: str = CHAT) -> list[tuple[str, str]]:
    """The messages that are kept."""
    return [(each.role, each.text) for each in read_content(endpoint, body, None).messages]


def answered(answer: bytes | Streamed | str | None, endpoint: str = CHAT) -> str | None:
    """The answer that is kept."""
    return read_content(endpoint, chat(), answer).answer


def reply(**message: Any) -> bytes:
    """A whole chat answer."""
    return json.dumps({"id": "x", "created": 1, "choices": [{"index": 0, "message": message}]}).encode()


def event(finish: str | None = None, **delta: Any) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"


def test_every_message_is_kept_with_its_role() -> None:
    """Texts as they are, parts line by line, what is no text by its type alone."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = chat(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture, "bare", 7]},
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        "no message",
    )
    assert said(body) == [
        ("system", "Be brief."),
        ("user", "What is this?\n[image_url]\nbare\n7"),
        ("assistant", "I cannot."),
    ]


def test_calls_of_tools_and_what_they_gave_are_kept() -> None:
    """In both spellings."""
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    body = chat(
        {"role": "assistant", "tool_calls": [call, "none"], "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "tool", "content": "12 degrees"},
    )
    assert said(body) == [("assistant", 'f({})\nget_weather({"city":"Oslo"})'), ("tool", "12 degrees")]


@pytest.mark.parametrize(
    ("endpoint", "body", "texts"),
    [
        (LEGACY, {"prompt": "Once upon"}, ["Once upon"]),
        (LEGACY, {"prompt": ["a", "b"]}, ["a", "b"]),
        (EMBEDDINGS, {"input": "words"}, ["words"]),
        (EMBEDDINGS, {"input": [1, 2, 3]}, ["[1,2,3]"]),
        (EMBEDDINGS, {}, []),
    ],
)
def test_other_endpoints_have_their_input(endpoint: str, body: Any, texts: list[str]) -> None:
    """Tokens are kept as numbers."""
    assert said(json.dumps(body).encode(), endpoint) == [("user", text) for text in texts]


def test_what_is_no_request_has_no_messages() -> None:
    """Nothing raises."""
    assert said(b"[1") == said(b"[]") == []


def test_the_newest_messages_are_kept() -> None:
    """A long conversation loses its beginning, and says how much."""
    long = {"role": "user", "content": "x" * 30_000}
    content = read_content(CHAT, chat(long, long, {"role": "user", "content": "last"}, long), None)
    assert ([len(each.text) for each in content.messages], content.omitted_messages) == ([30_000, 4, 30_000], 1)
    assert not content.is_cut


def test_a_message_beyond_the_bound_is_cut() -> None:
    """At a character's end."""
    content = read_content(CHAT, chat({"role": "user", "content": "a" + "é" * MAX_TEXT_BYTES}), None)
    [message] = content.messages
    assert (len(message.text.encode()), message.text[:2], content.is_cut) == (MAX_TEXT_BYTES - 1, "aé", True)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (reply(content="Hello."), "Hello."),
        (reply(reasoning_content="Hm.", content="Yes."), "Yes.\nHm."),
        (reply(content=None, tool_calls=[{"function": {"name": "f", "arguments": "{}"}}]), "f{}"),
        (reply(content=[{"type": "text", "text": "In parts."}]), "text\nIn parts."),
        (json.dumps({"choices": [{"text": "one"}, {"text": "two"}]}).encode(), "one\ntwo"),
        (b"<html>", None),
        ("what a stream said", "what a stream said"),
        (None, None),
    ],
)
def test_an_answer_is_kept_as_its_text(answer: bytes | str | None, text: str | None) -> None:
    """With reasoning and tool calls, in every form that it has."""
    kept = answered(answer)
    assert (kept and sorted(kept.split("\n"))) == (text and sorted(text.split("\n")))


def test_an_answer_of_embeddings_is_numbers() -> None:
    """They are not kept."""
    assert answered(b'{"data": [{"embedding": [0.1]}]}', EMBEDDINGS) is None


def test_a_stream_is_kept_as_what_it_said() -> None:
    """Its pieces one behind the other, the held one last."""
    held = event("stop", content="!").removeprefix(b"data: ").strip()
    legacy = b'data: {"choices":[{"text":"?"}]}\n\n'
    stream = Streamed(event(role="assistant") + b": comment\n\n" + event(content="Hel") + b"data: {\n\n" + legacy, held)
    assert answered(stream) == "Hel?!"


def test_an_answer_that_was_given_before_is_read_too() -> None:
    """In the form in which the cache keeps it, where a mark stands for its name."""
    whole = record_body(CHAT, reply(role="assistant", content="Kept."))
    whole.as_body("1", 1)
    held = json.dumps({"id": "x", "created": 1, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    stream = record_stream(CHAT, event(content="Kept"), held.encode(), None)
    stream.as_stream("1", 1)
    assert b"\0" in (whole.body or b"") and b"\0" in (stream.held or b"")
    assert answered(whole.body) == "Kept."
    assert answered(Streamed(stream.events or b"", stream.held or b"")) == "Kept"


def test_an_answer_beyond_the_bound_is_cut() -> None:
    """And says so."""
    content = read_content(CHAT, chat(), "x" * (MAX_TEXT_BYTES + 1))
    assert (len(content.answer or ""), content.is_cut) == (MAX_TEXT_BYTES, True)


def test_what_no_utf8_can_say_is_replaced() -> None:
    """Half a surrogate pair is kept as a question mark."""
    assert answered("a\ud83d") == "a?"


def test_what_is_packed_is_unpacked() -> None:
    """Whole, and small."""
    content = Content(messages=[Said("user", "x" * 10_000)], omitted_messages=1, answer="y", is_cut=True)
    assert unpack(pack(content)) == content
    assert len(pack(content)) < 1_000
