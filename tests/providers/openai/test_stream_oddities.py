"""Streams as nobody should send them: read in runs or chunk by chunk, they are the same."""

import pytest
from stream_readers import careful, told, told_at_once

from providers.chat import Usage
from providers.errors import InvalidAnswer, Refused
from providers.openai.stream import OpenAiStream


def said(text: bytes, choice: bytes = b"", chunk: bytes = b"") -> bytes:
    """One event."""
    return b'data: {"choices":[{"text":"%s"%s}]%s}\n\n' % (text, choice, chunk)


A = said(b"a")
MARK = b"\xef\xbb\xbf"
PAD = b',"obfuscation":"p"'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
KNOWN = {
    "a trailing space": [b'data: {"choices":[{"text":"a"}]} \n\n' * 2],
    "a trailing line": [b'data: {"choices":[{"text":"a"}]}\n \n\n' * 2],
    "a null delta": [said(b"a", b',"delta":null') * 2],
    "a null delta elsewhere": [said(b"a", chunk=b',"x":{"delta":null}') * 2],
    "a tier that comes back": [
        said(b"a", chunk=b',"service_tier":"p"')
        + b'data: {"choices":[],"service_tier":"q"}\n\n'
        + said(b"a", chunk=b',"service_tier":"p"')
        + USAGE
    ],
    "a tier of another type": [said(b"a", chunk=b',"service_tier":5') * 2],
    "a message of another type": [said(b"a", b',"message":5') * 2],
    "a refusal that reads like the mark": [b'data: {"choices":[{"delta":{"refusal":"a"},"text":"b"}]}\n\n' * 2],
    "content with a space, that reads like the mark": [
        b'data: {"choices":[{"delta":{"content" :"a"}}],"text":"b"}\n\n' * 2
    ],
    "an empty thought with another behind it": [
        b'data: {"choices":[{"delta":{"reasoning_content":"q","reasoning" :"x"}}]}\n\n'
        b'data: {"choices":[{"delta":{"reasoning_content":"","reasoning" :"x"}}]}\n\n'
    ],
    "a backslash that joins two texts": [A + said(b"b\\") + said(b',"c')],
    "a text that looks like text and padding": [said(b"a", chunk=PAD) + b'data: {"choices":[{"text":"a","b"}\n\n'],
    "no padding, then padding twice": [said(b"a", PAD) + said(b"b") + said(b"c", PAD + b',"obfuscation":"q"')],
    "a byte order mark in a later piece": [A, MARK + A],
    "a byte order mark behind a run": [A, A, A, MARK + A],
    "a tier that changes in a cut event": [
        said(b"a", chunk=b',"service_tier":"flex"') * 3,
        said(b"b", chunk=b',"service_tier":"priority"')[:-2],
        b"\n\n" + said(b"a", chunk=b',"service_tier":"flex"'),
        USAGE,
    ],
    "a byte order mark in a cut event": [A + MARK + A[:5], A[5:]],
    "an event longer than the bound": [said(b"y" * 4_300_000)],
    "a half event longer than the bound": [A + said(b"y" * 4_300_000)[:-4]],
    "more said than is kept": [said(b"x" * 524_288), A + A],
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_run_is_read_as_its_chunks_are(name: str) -> None:
    """Each of these was read otherwise in a run."""
    assert told(OpenAiStream(), KNOWN[name]) == told(careful(), KNOWN[name]) == told_at_once(KNOWN[name])


@pytest.mark.parametrize(
    "broken",
    [
        b'data: {"usage":5,\n\n',
        b'data: {"choices":[{"delta":{"content":["\\"]}}]}\n\n',
        b'data: {"usage":1,"a":' + b"[" * 100_000 + b"\n\n",
    ],
    ids=["truncated", "escape", "depth"],
)
def test_an_odd_chunk_that_is_not_json_is_a_failure(broken: bytes) -> None:
    """A wrong type before the fault hides it from the first decoding: the second one must not raise."""
    stream = OpenAiStream()
    stream.feed(A + broken)
    assert isinstance(stream.failure, InvalidAnswer)


def test_a_byte_order_mark_is_skipped_at_the_start_alone() -> None:
    """However the two line feeds before it are cut."""
    assert told(careful(), [b"\n\n", MARK + A]) == told(careful(), [b"\n\n" + MARK + A])


def test_an_empty_piece_between_cr_and_lf_is_nothing() -> None:
    """The line feed still belongs to the carriage return."""
    pieces = [A[:-2] + b"\r", b"", b"\n" + A]
    assert told(careful(), pieces) == told(careful(), [b"".join(pieces)])


def test_halves_of_a_character_go_on_as_they_came() -> None:
    """The client puts them together."""
    events = [said(b"Hi \\ud83d"), said(b"\\ude00 ok")]
    reader = OpenAiStream()
    assert [reader.feed(event) for event in events] == events
    assert (reader.failure, reader.delivered().chars) == (None, 8)


@pytest.mark.parametrize("later", [b'{"prompt_tokens":0,"completion_tokens":0}', b"{}", b'{"prompt_tokens":null}'])
def test_figures_that_cannot_be_used_replace_none_that_can(later: bytes) -> None:
    """Else what was reported would be estimated."""
    reader = OpenAiStream()
    reader.feed(A + USAGE + b'data: {"choices":[],"usage":%s}\n\n' % later)
    assert reader.usage == Usage(input_tokens=1, output_tokens=1)


def test_usage_inside_the_last_choice_is_read() -> None:
    """Moonshot's place for it."""
    reader = OpenAiStream()
    last = b',"finish_reason":"stop","usage":{"prompt_tokens":3,"completion_tokens":2}'
    reader.feed(A + said(b"", last) + b"data: [DONE]\n\n")
    assert (reader.finished, reader.usage) == (True, Usage(input_tokens=3, output_tokens=2))


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (b'data: {"object":"error","message":"out of memory","code":500}\n\n', "out of memory"),
        (b'event: error\ndata: {"message":"boom","code":500}\n\n', "boom"),
        (b'event: error\ndata: {"error":{"message":"boom","code":500}}\n\n', "boom"),
        (b"event: error\ndata: it broke\n\n", "it broke"),
        (b'error: {"code":500,"message":"no slot"}\n\n', "no slot"),
    ],
)
@pytest.mark.parametrize("before", [b"", A])
def test_an_error_is_one_however_it_is_worded(before: bytes, event: bytes, message: str) -> None:
    """The words of vLLM, of several proxies and of llama.cpp; what comes behind it is no answer."""
    reader = OpenAiStream()
    assert reader.feed(before + event + A + b"data: [DONE]\n\n") == before
    assert isinstance(reader.failure, Refused)
    assert (reader.failure.message, reader.finished) == (message, False)


def test_a_number_that_is_none_ends_no_stream() -> None:
    """Servers in Python write the logprob of an impossible token so, and clients in Python read it."""
    odd = said(b"a", b',"logprobs":{"token_logprobs":[-Infinity, NaN]}')
    reader = OpenAiStream()
    assert reader.feed(odd + A) == odd + A
    assert (reader.failure, reader.delivered().text()) == (None, "aa")
