"""An answer that was kept says the same in both forms, whichever it came in, under a name of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
import recordings

from providers.errors import InvalidAnswer
from providers.openai.recorded import Recorded, fold, is_whole, record_body, record_stream, seems_whole
from providers.openai.stream import OpenAiStream

GOLDEN = Path(__file__).parents[2] / "golden"
FOLDERS = ("openai/chat", "groq/chat", "openrouter/chat")
# By where they come from: hundreds, of which each is looked at in a millisecond.
ANSWERS = {"golden": sorted(GOLDEN.glob("openai/*.*")), **{folder: recordings.recordings(folder) for folder in FOLDERS}}
CHAT = "chat/completions"
BODY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 17,
    "model": "gpt-4o",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "reasoning_content": "Greet.", "refusal": None},
            "logprobs": {"content": [{"token": "Hello", "logprob": -0.1}], "refusal": None},
            "finish_reason": "stop",
        },
        {
            "index": 1,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        },
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    "system_fingerprint": "fp",
}


def chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
    """A chunk as JSON."""
    base = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 3, "model": "m"}
    return json.dumps(base | {"choices": choices} | more).encode()


def event(choice: dict[str, Any]) -> bytes:
    """A chunk of one choice, as an event."""
    return b"data: " + chunk([{"index": 0, "finish_reason": None} | choice]) + b"\n\n"


def said(choice: dict[str, Any]) -> dict[str, Any]:
    """What a choice says: everything but empty members, which the two forms write differently."""
    message = {name: value for name, value in choice.get("message", {}).items() if value not in (None, "", [])}
    calls = [{n: v for n, v in call.items() if n != "index"} for call in message.pop("tool_calls", [])]
    return {
        "message": message,
        "calls": calls,
        "text": choice.get("text"),
        "finish": choice.get("finish_reason"),
        "logprobs": choice.get("logprobs"),
    }


def streamed(recorded: Recorded) -> Recorded:
    """What a client that was given the stream has, kept again."""
    events, held, usage_chunk = recorded.as_stream("again", 5)
    return record_stream(recorded.endpoint, events, held, usage_chunk)


def test_a_whole_answer_has_a_name_and_time_of_its_own_each_time() -> None:
    """Two answers that were one are told apart, and say the same."""
    recorded = record_body(CHAT, json.dumps(BODY).encode())
    first, second = (json.loads(recorded.as_body(name, at)) for name, at in (("one", 1), ("two", 2)))
    assert (first["id"], first["created"], second["id"], second["created"]) == ("chatcmpl-one", 1, "chatcmpl-two", 2)
    assert first | {"id": 0, "created": 0} == second | {"id": 0, "created": 0} == BODY | {"id": 0, "created": 0}


def test_a_whole_answer_becomes_a_stream() -> None:
    """Who speaks, thoughts, words with their logprobs, calls, ends and usage: what a streaming client needs."""
    events, held, usage_chunk = record_body(CHAT, json.dumps(BODY).encode()).as_stream("x", 7)
    chunks = [json.loads(line[6:]) for line in events.decode().split("\n\n") if line]
    assert {(part["id"], part["created"], part["object"]) for part in chunks} == {
        ("chatcmpl-x", 7, "chat.completion.chunk")
    }
    deltas = [part["choices"][0]["delta"] for part in chunks if part["choices"][0]["index"] == 0]
    assert deltas == [{"role": "assistant", "content": ""}, {"reasoning_content": "Greet."}, {"content": "Hello"}, {}]
    assert [part["index"] for part in chunks[-2]["choices"][0]["delta"]["tool_calls"]] == [0, 1]
    assert json.loads(held)["choices"][0]["finish_reason"] == "tool_calls"
    assert usage_chunk is not None
    assert json.loads(usage_chunk)["usage"] == BODY["usage"]
    assert json.loads(usage_chunk)["choices"] == []


@pytest.mark.parametrize("names", [{}, {"object": "chat.completion"}, {"object": "text_completion"}, {"object": None}])
def test_a_completion_becomes_a_stream_of_completions(names: dict[str, Any]) -> None:
    """Whatever it calls itself: a client of that endpoint reads its text."""
    choice = {"index": 0, "text": "Hello", "finish_reason": "stop"}
    body = json.dumps({"id": "c", "created": 1, "choices": [choice], "usage": BODY["usage"], **names}).encode()
    events, held, usage_chunk = record_body("completions", body).as_stream("x", 7)
    chunks = [json.loads(line[6:]) for line in events.decode().split("\n\n") if line]
    chunks += [json.loads(part) for part in (held, usage_chunk or b"")]
    assert "".join(part["text"] for chunk in chunks for part in chunk["choices"]) == "Hello"
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}


def test_a_whole_answer_as_a_stream_and_back_says_the_same() -> None:
    """Nothing is lost on the way through the other form."""
    back = json.loads(streamed(record_body(CHAT, json.dumps(BODY).encode())).as_body("x", 17))
    assert [said(choice) for choice in back["choices"]] == [said(choice) for choice in BODY["choices"]]  # type: ignore[attr-defined]
    assert (back["usage"], back["system_fingerprint"], back["object"]) == (BODY["usage"], "fp", BODY["object"])


def test_a_stream_keeps_the_boundaries_of_its_chunks() -> None:
    """Each piece of text comes in the chunk that it came in."""
    pieces = [event({"delta": {"content": text}}) for text in ("Hel", "lo", " you")]
    recorded = record_stream(CHAT, b"".join(pieces), chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]), None)
    events, _, usage_chunk = recorded.as_stream("x", 7)
    texts = [json.loads(line[6:])["choices"][0]["delta"]["content"] for line in events.decode().split("\n\n") if line]
    assert texts == ["Hel", "lo", " you"]
    assert usage_chunk is None
    whole = json.loads(recorded.as_body("y", 8))
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "Hello you"}


def test_calls_in_pieces_are_put_together() -> None:
    """A stream's tool calls, cut anywhere and mixed, become whole ones in their order."""
    parts = [
        [{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}],
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x'}}],
        [{"index": 0, "function": {"arguments": '":1}'}}, {"index": 1, "function": {"arguments": "{}"}}],
    ]
    pieces = [event({"delta": {"tool_calls": calls}}) for calls in parts]
    recorded = record_stream(
        CHAT, b"".join(pieces), chunk([{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]), None
    )
    calls = json.loads(recorded.as_body("x", 1))["choices"][0]["message"]["tool_calls"]
    assert calls == [
        {"id": "a", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "function": {"name": "g", "arguments": "{}"}},
    ]


@pytest.mark.parametrize("index", [{}, {"index": 0}])
def test_a_new_id_begins_a_new_call(index: dict[str, int]) -> None:
    """Some providers leave the index out, or give each call the same."""
    parts = [
        [{**index, "id": "c", "function": {"name": "f", "arguments": "{"}}],
        [{**index, "function": {"arguments": "}"}}],
        [{**index, "id": "d", "function": {"name": "g", "arguments": "{}"}}],
    ]
    pieces = [event({"delta": {"tool_calls": calls}}) for calls in parts]
    held = chunk([{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
    body = record_stream(CHAT, b"".join(pieces), held, None).as_body("x", 1)
    assert json.loads(body)["choices"][0]["message"]["tool_calls"] == [
        {"id": "c", "function": {"name": "f", "arguments": "{}"}},
        {"id": "d", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_sound_in_pieces_is_put_together_and_padding_is_left_out() -> None:
    """Of a stream's chunks a whole answer has only what is said."""
    pieces = [
        event({"delta": {"audio": {"id": "a", "data": "AAAA", "transcript": "Hel"}}}),
        event({"delta": {"content": "", "audio": {"data": "BBBB", "transcript": "lo"}}}),
    ]
    held = chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], obfuscation="xyz")
    body = json.loads(record_stream(CHAT, b"".join(pieces), held, None).as_body("x", 1))
    assert body["choices"][0]["message"]["audio"] == {"id": "a", "data": "AAAABBBB", "transcript": "Hello"}
    assert "obfuscation" not in body


def test_a_completion_in_both_forms() -> None:
    """The old endpoint's answers have texts instead of messages."""
    body = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "usage": {"total_tokens": 3}}
    body["choices"] = [{"index": 0, "text": "Once upon", "logprobs": None, "finish_reason": "stop"}]
    recorded = record_body("completions", json.dumps(body).encode())
    again = json.loads(streamed(recorded).as_body("x", 1))
    assert again["id"] == "cmpl-x"
    assert again["choices"][0]["text"] == "Once upon"
    assert is_whole(record_body("completions", json.dumps(body).encode()), 1, allows_calls=False)


def test_numbers_are_kept_as_they_came() -> None:
    """An embeddings answer has neither name nor time; its bytes stay."""
    body = b'{"object":"list","data":[{"embedding":[0.10,1e-3],"index":0}],"model":"m","usage":{"prompt_tokens":1}}'
    assert record_body("embeddings", body).as_body("x", 1) == body


def read(path: Path) -> tuple[bytes, bool, str | None]:
    """An answer's bytes, whether it is a stream, and its text's digest where that is known."""
    if path.is_relative_to(GOLDEN):
        return path.read_bytes(), path.suffix == ".sse", None
    item = recordings.load(path)
    body = recordings.body_of(item)
    return body, body.startswith((b"data:", b":")), (item["golden"] or {}).get("text_sha256")


def keep(endpoint: str, body: bytes, *, is_stream: bool) -> Recorded | None:
    """Keep an answer as the gateway does; None for what is no whole one."""
    if not is_stream:
        return record_body(endpoint, body) if b'"choices"' in body else None
    reader = OpenAiStream()
    out = reader.feed(body) + reader.end()
    if reader.failure is not None or reader.held is None:
        return None
    return record_stream(endpoint, out, reader.held, reader.usage_chunk)


@pytest.mark.parametrize("source", ANSWERS)
def test_a_real_answer_says_the_same_in_both_forms(source: str) -> None:
    """Every recorded answer survives the way through the other form and back."""
    for path in ANSWERS[source]:
        endpoint = "completions" if path.stem == "completion" else CHAT
        body, is_stream, digest = read(path)
        recorded = keep(endpoint, body, is_stream=is_stream)
        if recorded is not None:
            assert_says_the_same(recorded, endpoint, digest, path.stem)


def assert_says_the_same(recorded: Recorded, endpoint: str, digest: str | None, name: str) -> None:
    """Fail with the answer's name where it comes back as another one."""
    first = json.loads(recorded.as_body("x", 1))
    second = json.loads(streamed(record_body(endpoint, recorded.as_body("x", 1))).as_body("x", 1))
    assert [said(choice) for choice in first["choices"]] == [said(choice) for choice in second["choices"]], name
    assert first.get("usage") == second.get("usage"), name
    if digest is not None:
        assert recordings.digest(first["choices"][0]["message"].get("content") or "") == digest, name


@pytest.mark.parametrize("piece", [b"data: {not json}\n\n", b"event: x\ndata: {}\n\n"])
def test_what_is_no_stream_is_not_kept(piece: bytes) -> None:
    """An event that cannot be read is an error, which keeps the answer from being kept."""
    with pytest.raises(InvalidAnswer):
        record_stream(CHAT, piece, chunk([]), None).as_body("x", 1)


def whole(finish: str = "stop", **message: Any) -> Recorded:
    """An answer that came whole."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Yes."} | message, "finish_reason": finish}
    return record_body(CHAT, json.dumps({"id": "x", "created": 1, "choices": [choice]}).encode())


def flowed(finish: str = "stop", **delta: Any) -> Recorded:
    """An answer that was a stream."""
    events = event({"delta": {"content": "Yes."}}) + (event({"delta": delta}) if delta else b"")
    return record_stream(CHAT, events, chunk([{"index": 0, "delta": {}, "finish_reason": finish}]), None)


CALLS = {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize("make", [whole, flowed])
def test_what_may_be_kept(make: Any) -> None:
    """Complete, unfiltered answers; tool calls where they are allowed."""
    assert is_whole(make(), 1, allows_calls=False)
    assert is_whole(make(refusal=None, tool_calls=[]), 1, allows_calls=False)
    assert is_whole(make(refusal=None, tool_calls=None), 1, allows_calls=False)
    assert is_whole(make("tool_calls", **CALLS), 1, allows_calls=True)
    assert seems_whole(make(), allows_calls=False)
    assert seems_whole(make("tool_calls", **CALLS), allows_calls=True)


@pytest.mark.parametrize("make", [whole, flowed])
@pytest.mark.parametrize("finish", ["length", "content_filter", "tool_calls", ""])
def test_an_end_that_tells_against_it_is_seen_at_once(make: Any, finish: str) -> None:
    """What ends in another way than whole takes no room."""
    assert not seems_whole(make(finish), allows_calls=False)


@pytest.mark.parametrize("source", ANSWERS)
def test_every_real_answer_that_is_whole_seems_so(source: str) -> None:
    """The first look turns away nothing that the second would let in."""
    for path in ANSWERS[source]:
        body, is_stream, _ = read(path)
        recorded = keep(CHAT, body, is_stream=is_stream)
        for allows_calls in (False, True):
            if recorded is not None and is_whole(recorded, 1, allows_calls=allows_calls):
                assert seems_whole(recorded, allows_calls=allows_calls), (path.stem, allows_calls)


@pytest.mark.parametrize("make", [whole, flowed])
@pytest.mark.parametrize(
    ("finish", "message"),
    [
        ("length", {}),
        ("content_filter", {}),
        ("tool_calls", CALLS),
        ("stop", CALLS),
        ("stop", {"function_call": {"name": "f", "arguments": "{}"}}),
        ("stop", {"refusal": "I cannot."}),
        ("stop", {"content_filter_results": {"hate": {"filtered": True}}}),
        ("", {}),
    ],
)
def test_what_may_not_be_kept(make: Any, finish: str, message: dict[str, Any]) -> None:
    """Truncated, filtered, refused and tool-calling answers are not given again, whichever form they came in."""
    assert not is_whole(make(finish, **message), 1, allows_calls=False)


@pytest.mark.parametrize("make", [whole, flowed])
@pytest.mark.parametrize("form", ["as_body", "as_stream"])
def test_an_answer_that_was_given_is_judged_as_before(make: Any, form: str) -> None:
    """What stands in place of its name then is no fault of it, and hides none."""
    for recorded, allows_calls, expected in (
        (make(), False, True),
        (make("tool_calls", **CALLS), False, False),
        (make("tool_calls", **CALLS), True, True),
        (make("length"), False, False),
        (make(refusal="I cannot."), False, False),
    ):
        getattr(recorded, form)("r", 1)
        assert is_whole(recorded, 1, allows_calls=allows_calls) is expected


def test_an_empty_answer_is_not_kept() -> None:
    """What says nothing helps nobody."""
    assert not is_whole(whole(content=""), 1, allows_calls=False)
    assert not is_whole(whole(content=None), 1, allows_calls=False)


def test_all_choices_must_be_there() -> None:
    """Of several choices each must be complete."""
    several = record_body(CHAT, json.dumps(BODY).encode())
    assert not is_whole(several, 2, allows_calls=False)
    assert is_whole(several, 2, allows_calls=True)
    assert not is_whole(several, 3, allows_calls=True)
    assert is_whole(streamed(several), 2, allows_calls=True)


def test_an_empty_finish_reason_is_no_end() -> None:
    """Some servers say it in every chunk; the one with a word is the end."""
    end = '"finish_reason":"stop"'
    going = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":""}]}\n\n'
    kept = record_stream(CHAT, going * 2, going[6:-2].replace(b'"finish_reason":""', end.encode()), None)
    assert seems_whole(kept, allows_calls=False)
    assert is_whole(kept, 1, allows_calls=False)
    late = fold([json.loads(kept.held or b""), json.loads(going[6:-2])], CHAT)
    assert late["choices"][0]["finish_reason"] == "stop"


THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
JOINED = [
    (["", [THOUGHT], "Hel", "lo"], [THOUGHT, {"type": "text", "text": "Hello"}]),
    (["a", [THOUGHT], [THOUGHT]], [{"type": "text", "text": "a"}, THOUGHT, THOUGHT]),
    ([[THOUGHT], "", None, "a"], [THOUGHT, {"type": "text", "text": "a"}]),
    ([[THOUGHT], [{"type": "text", "text": "a"}], "b"], [THOUGHT, {"type": "text", "text": "ab"}]),
    (["a", "", "b"], "ab"),
]


@pytest.mark.parametrize(("pieces", "content"), JOINED)
def test_content_in_parts_and_in_texts_is_put_together(pieces: list[Any], content: Any) -> None:
    """Mistral's reasoning comes in parts and its answer in texts: neither replaces the other."""
    chunks = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    assert fold(chunks, CHAT)["choices"][0]["message"]["content"] == content
