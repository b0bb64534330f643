"""Whole answers are checked, their usage read, their errors told apart."""

import json
from typing import Any

import pytest
import recordings

from providers.chat import Answer, Usage
from providers.errors import InvalidAnswer, ProviderError, Refused
from providers.openai.reply import MAX_EXTRA_BYTES, read_reply
from providers.openai.stream import OpenAiStream
from providers.wire import Call

CHAT = Call(endpoint="chat/completions", body=b"{}", model="m")
EMBEDDINGS = Call(endpoint="embeddings", body=b"{}", model="m")
GOOD: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


def read(value: Any, status: int = 200, call: Call = CHAT, **headers: str) -> Answer:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return read_reply(call, status, lines, body, lambda: 0)


def failure(value: Any, status: int = 200, **headers: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        read(value, status, **headers)
    return caught.value


def test_an_answer_keeps_its_bytes() -> None:
    """The body is passed on as it came."""
    body = json.dumps(GOOD, indent=3).encode()
    assert read(body) == Answer(body=body, usage=Usage(input_tokens=5, output_tokens=2))


def test_the_text_is_kept_only_for_an_estimate() -> None:
    """Where usage is reported nothing needs to be counted."""
    assert read(GOOD).text == ""
    assert read(GOOD | {"usage": None}).text == "Hello"
    assert read(GOOD | {"usage": {"prompt_tokens": -1, "completion_tokens": 1}}).text == "Hello"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"<html>login</html>", b'{"choices":[]}', b'{"id":"c","choices":[{"ind', b"[1]"]
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    """HTML, half a JSON, nothing or the wrong shape never reaches a client as a success."""
    assert isinstance(failure(body), InvalidAnswer)


@pytest.mark.parametrize("more", [{}, {"object": 1, "choices": 5}])
def test_what_is_no_answer_tells_what_it_used_where_it_says_so(more: dict[str, Any]) -> None:
    """It is of no use, and it will be billed."""
    error = failure({"choices": [], "usage": {"prompt_tokens": 15, "completion_tokens": 10}} | more)
    assert isinstance(error, InvalidAnswer)
    assert error.usage == Usage(input_tokens=15, output_tokens=10)


def test_an_empty_success_is_no_answer() -> None:
    """204 says that there is nothing."""
    assert isinstance(failure(b"", 204), InvalidAnswer)
    # Which success it was is not known here: a 204 was told as a 200.
    assert failure(b"").message == "the provider answered a success without a body"


def test_an_error_inside_a_success_is_an_error() -> None:
    """OpenRouter answers 200 with an error object once it has begun."""
    error = failure({"error": {"code": 502, "message": "Provider returned error"}})
    assert isinstance(error, Refused)
    assert (error.upstream_status, error.message, error.retryable) == (502, "Provider returned error", True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "no", "type": "t", "param": "p", "code": "c"}}, "no"),
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        (b"upstream connect error", "the provider answered status 400"),
        ({"detail": [{"loc": ["body"]}]}, "the provider answered status 400"),
        ({"detail": "no"}, "no"),
        ({"detail": "x", "error": "no"}, "no"),
        ([{"error": {"code": 400, "message": "no"}}], "no"),
        ([], "the provider answered status 400"),
        ([5], "the provider answered status 400"),
    ],
)
def test_errors_of_every_shape_say_something(body: Any, message: str) -> None:
    """Providers and proxies have their own envelopes."""
    assert failure(body, 400).message == message


def test_an_error_carries_what_retries_need() -> None:
    """Retry-After and x-should-retry come along."""
    error = failure({"error": {"message": "slow down", "code": "rate"}}, 429, retry_after="2", x_should_retry="false")
    assert isinstance(error, Refused)
    assert (error.retry_after_ms, error.should_retry, error.retryable, error.upstream_code) == (
        2000,
        False,
        False,
        "rate",
    )


SAID = [
    ({"tool_calls": [{"type": "custom", "custom": {"name": "run", "input": " ls"}}]}, "run ls"),
    ({"audio": {"id": "a1", "data": "AAAA", "transcript": "hello"}}, "hello"),
    ({"audio": {"id": "a1"}}, ""),
    ({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}, {"summary": " so"}]}, "hm so"),
    ({"reasoning": "hm", "reasoning_details": [{"text": "hm"}]}, "hm"),
    ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, ""),
]


@pytest.mark.parametrize(("message", "text"), SAID)
def test_everything_that_is_said_counts(message: dict[str, Any], text: str) -> None:
    """Custom tools, speech and reasoning in details cost output tokens, whole and streamed; nothing counts twice."""
    assert read(GOOD | {"choices": [{"message": {"content": None} | message}], "usage": None}).text == text
    stream = OpenAiStream()
    chunk = b"data: " + json.dumps({"choices": [{"index": 0, "delta": message}]}).encode() + b"\n\n"
    assert stream.feed(chunk * 3) == chunk * 3
    assert stream.delivered().text() == text * 3


def test_content_in_parts_is_an_answer() -> None:
    """An unusual type of a member that is only counted must not fail a call."""
    parts = GOOD | {"choices": [{"message": {"content": [{"type": "text", "text": "Hi"}]}}], "usage": None}
    assert "Hi" in read(parts).text


def test_a_large_embedding_is_read_at_its_end() -> None:
    """The usage stands behind the numbers; they are not parsed."""
    data = [{"object": "embedding", "index": 0, "embedding": [0.1] * 2_000}]
    body = json.dumps(
        {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    ).encode()
    assert read(body, call=EMBEDDINGS) == Answer(body=body, usage=Usage(input_tokens=8))


@pytest.mark.parametrize("order", [("usage", "object", "data"), ("object", "data")])
def test_an_embedding_in_another_order_is_read_too(order: tuple[str, ...]) -> None:
    """Usage may stand first, or not at all."""
    whole = {"object": "list", "data": [{"embedding": [0.1] * 900}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    answer = read({name: whole[name] for name in order}, call=EMBEDDINGS)
    assert answer.usage == (Usage(input_tokens=8) if "usage" in order else None)


@pytest.mark.parametrize("cut", [10, 700, -1, -9])
def test_a_cut_embedding_is_refused(cut: int) -> None:
    """Half of the numbers is no answer."""
    whole = {"data": [{"embedding": [0.1] * 900}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    with pytest.raises(InvalidAnswer):
        read(json.dumps(whole).encode()[:cut], call=EMBEDDINGS)


def test_recorded_answers_are_read() -> None:
    """Usage of every recorded whole answer is that of the golden record, and every recorded error is one."""
    endpoints = {"chat": "chat/completions", "completions": "completions", "embeddings": "embeddings"}
    wrong: list[str] = []
    for path in recordings.recordings(
        "openai/chat",
        "groq/chat",
        "openrouter/chat",
        "openai/completions",
        "openai/embeddings",
        "openrouter/embeddings",
    ):
        item = recordings.load(path)
        body, status = recordings.body_of(item), item["response"]["status"]
        if recordings.is_stream(item) or body.startswith(b"data:"):
            continue
        call = Call(endpoint=endpoints[path.parent.name], body=b"{}", model="m")
        want = item["golden"]["usage_norm"] if item["golden"] else None
        try:
            usage = read_reply(call, status, [], body, lambda: 0).usage
        except Refused:
            usage = None
            if status < 400:
                wrong.append(item["id"])
        got = None if usage is None else (usage.total_input_tokens, usage.cache_read_tokens, usage.total_output_tokens)
        if want is not None and got != (want["input_total"], want["cache_read"], want["output_total"]):
            wrong.append(item["id"])
    assert wrong == []


@pytest.mark.parametrize(
    ("error", "extras"),
    [
        ({"failed_generation": "maybe", "status_code": 400}, {"failed_generation": "maybe"}),
        ({"failed_generation": ""}, {"failed_generation": ""}),
        ({"metadata": {"raw": "busy", "n": 1}, "user_id": "u"}, {"metadata": {"raw": "busy", "n": 1}}),
        ({"innererror": {"code": "ResponsibleAIPolicyViolation"}, "trace": "at main.py"},
         {"innererror": {"code": "ResponsibleAIPolicyViolation"}}),
        ({"metadata": None}, {}),
        ({"metadata": {"raw": "x" * MAX_EXTRA_BYTES}, "failed_generation": "é" * MAX_EXTRA_BYTES},
         {"failed_generation": "é" * (MAX_EXTRA_BYTES // 2)}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 400])
def test_the_documented_members_of_an_error_are_kept(error: Any, extras: Any, status: int) -> None:
    """Those alone: what nobody documents may be the provider's own business. A long text is cut, an object left out."""
    refused = failure({"error": {"message": "No.", **error}}, status)
    assert isinstance(refused, Refused)
    assert refused.extras == extras


HALF = (
    b'{"choices":[{"message":{"content":"Hi \\ud83d"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2}}'
)


@pytest.mark.parametrize(("body", "kept"), [(HALF, HALF), (b"\xef\xbb\xbf" + HALF, HALF)])
def test_half_a_character_spoils_no_answer(body: bytes, kept: bytes) -> None:
    """The client may know what to do with it; a byte order mark no client reads."""
    assert read(body) == Answer(body=kept, usage=Usage(input_tokens=5, output_tokens=2))


GOOD_BYTES = json.dumps(GOOD).encode()


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (GOOD_BYTES.replace(b"Hello", b"Hel\xff"), GOOD_BYTES.replace(b"Hello", "Hel\ufffd".encode())),
        (GOOD_BYTES[:-1] + b', "x": [-Infinity, NaN]}', GOOD_BYTES[:-1] + b', "x": [-Infinity, NaN]}'),
    ],
    ids=["utf-8", "number"],
)
def test_what_is_not_quite_json_is_an_answer(body: bytes, kept: bytes) -> None:
    """It was made and is paid; clients in Python read such numbers, and none reads what is no UTF-8."""
    assert read(body) == Answer(body=kept, usage=Usage(input_tokens=5, output_tokens=2))


DEEP = b', "x": ' + b"[" * 3_000 + b"]" * 3_000 + b"}"


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (GOOD_BYTES[:40], None),
        (GOOD_BYTES[:-1], Usage(input_tokens=5, output_tokens=2)),
        (GOOD_BYTES[:-1] + DEEP, Usage(input_tokens=5, output_tokens=2)),
        (b'{"id":"c1","usage":{"prompt', None),
        (b"<html>", None),
        (b"{}", None),
    ],
    ids=["cut", "cut at the end", "deep", "cut usage", "page", "empty"],
)
def test_what_cannot_be_read_was_made_all_the_same(body: bytes, usage: Usage | None) -> None:
    """It will be billed, and is not asked for again."""
    error = failure(body)
    assert isinstance(error, InvalidAnswer)
    assert (error.was_made, error.usage) == (True, usage)


def test_only_what_was_said_is_counted_where_a_member_is_odd() -> None:
    """Not the role, nor why it ended."""
    message = {"role": "assistant", "content": [{"type": 7, "text": "Hello"}], "refusal": None}
    for content in (message, message | {"content": "Hello"}):
        answer = read(
            GOOD | {"choices": [{"message": content, "finish_reason": "stop"}], "usage": {"prompt_tokens": []}}
        )
        assert answer.text == "Hello"


def test_what_was_said_is_told_where_no_output_is_counted() -> None:
    """A report may tell the input alone."""
    answer = read(GOOD | {"usage": {"prompt_tokens": 26, "completion_tokens": 0, "total_tokens": 26}})
    assert (answer.text, answer.usage) == ("Hello", Usage(input_tokens=26))


def test_usage_inside_the_choice_is_read() -> None:
    """Moonshot's place for it."""
    choice = GOOD["choices"][0] | {"usage": GOOD["usage"]}
    assert read({"choices": [choice]}).usage == Usage(input_tokens=5, output_tokens=2)


def test_an_answer_that_ends_with_an_error_is_none() -> None:
    """As in a stream; what it took is known."""
    choice = GOOD["choices"][0] | {"finish_reason": "error"}
    failed = failure(GOOD | {"choices": [choice]})
    assert isinstance(failed, Refused)
    assert failed.usage == Usage(input_tokens=5, output_tokens=2)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"embedding": [0.1]}], "usage": {"total_tokens": 5}},
        {"usage": {"total_tokens": 5}, "model": "m", "data": [{"embedding": [0.1]}]},
    ],
)
def test_a_total_alone_is_input_where_nothing_is_written(body: dict[str, Any]) -> None:
    """Voyage's words."""
    assert read(body, call=EMBEDDINGS).usage == Usage(input_tokens=5)


@pytest.mark.parametrize(
    ("kind", "status"), [("invalid_request_error", 400), ("rate_limit_error", 429), ("server_error", 200)]
)
def test_the_type_of_an_error_in_a_success_tells_its_status(kind: str, status: int) -> None:
    """Where no number does."""
    failed = failure({"error": {"message": "too long", "type": kind, "code": "context_length_exceeded"}})
    assert isinstance(failed, Refused)
    assert failed.upstream_status == status
