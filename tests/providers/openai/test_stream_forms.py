"""Runs of one form are read as a whole; for every stream and every cut, that is the same as reading each chunk."""

import itertools
import random
import re
from collections.abc import Sequence

import pytest
import recordings
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_readers import careful, told, told_at_once

from providers.chat import Usage
from providers.openai.stream import MAX_LESSONS, OpenAiStream
from providers.openai.template import ChunkTemplate

# Where a text (T) and a padding (P) stand in a chunk.
PLAIN = b'{"id":"c1","choices":[{"index":0,"delta":{"content":"T"},"logprobs":null,"finish_reason":null}]}'
SPACED = b'{"id": "c1", "choices": [{"index": 0, "delta": {"content": "T"}, "finish_reason": null}], "usage": null}'
REASONING = b'{"choices":[{"delta":{"reasoning":"T"}}]}'
CALL = b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"T"}}]},"finish_reason":null}]}'
PADDED = b'{"id":"c1","choices":[{"index":0,"delta":{"content":"T"},"finish_reason":null}],"obfuscation":"P"}'
FORMS = [
    PLAIN,
    SPACED,
    # Several choices, whose chunks may come in turns.
    b'{"id":"c1","choices":[{"index":1,"delta":{"content":"T"},"finish_reason":null}]}',
    b'{"id":"c1","choices":[{"delta":{"content":"T"},"index":0},{"delta":{"content":"T"},"index":1}]}',
    REASONING,
    b'{"choices":[{"delta":{"content":null,"reasoning_content":"T"}}],"service_tier":"default"}',
    b'{"choices":[{"delta":{"content":"","reasoning":"T","reasoning_details":[{"text":"T"}]}}]}',
    CALL,
    b'{"choices":[{"delta":{"tool_calls":[{"function":{"name":"pay","arguments":"T"}}]}}]}',
    b'{"choices":[{"delta":{"function_call":{"arguments":"T"}}}]}',
    b'{"id":"cmpl-1","object":"text_completion","choices":[{"text":"T","index":0,"finish_reason":null}]}',
    # OpenAI's padding, where it puts it and where it does not.
    PADDED,
    b'{"choices": [{"delta": {"content": "T"}}], "usage": null, "obfuscation": "P"}',
    b'{"obfuscation":"P","choices":[{"delta":{"content":"T"}}]}',
    b'{"choices":[{"delta":{"content":"T","obfuscation":"P"}}]}',
    b'{"choices":[{"delta":{"content":"T"}}],"obfuscation":"P","obfuscation":"P"}',
    b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"T"}}]}}],"obfuscation":"P"}',
    # Members of the names that are looked for, where they are not what is said; and twice.
    b'{"choices":[{"delta":{"content":"T","content":"T"}}]}',
    b'{"choices":[{"delta":{"x\\"content":"T","content" :"fixed"}}]}',
    b'{"choices":[{"delta":{"content":"T"},"logprobs":{"content":[{"token":"T"}]}}]}',
    b'{"choices":[{"delta":{"content":"T"}}],"text":"T"}',
    b'{"choices":[{"delta":{"role":"assistant"}}],"text":"T"}',
    b'{"choices":[{"delta":{"refusal":"T"},"text":"T"}]}',
    b'{"choices":[{"delta":{},"text":"T"}]}',
    b'{"choices":[{"delta":{"content":"T","role":"assistant"},"text":"T","message":{"content":"T"}}]}',
    b'{"choices":[{"delta":{"content":"T"}}],"choices":[{"delta":{"content":"fixed"}}]}',
    # More than saying is done.
    b'{"choices":[{"delta":{"content":"T"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}',
    b'{"choices":[{"delta":{"content":"T"},"finish_reason":""}]}',
    b'{"choices":[{"delta":{"content":"T"},"usage":{"prompt_tokens":3,"completion_tokens":1}}]}',
    b'{"choices":[{"delta":{"content":"T"}}],"service_tier":"flex"}',
]
# Of unusual types.
ODD_FORMS = [
    b'{"choices":[{"delta":{"content":[{"type":"text","text":"T"}]}}]}',
    b'{"choices":[{"delta":{"content":"T"}}],"usage":{"prompt_tokens":"3"}}',
    b'{"choices":[{"delta":{"content":"T"},"finish_reason":5}]}',
    b'{"choices":[{"index":"0","delta":{"content":"T","role":"assistant"}}]}',
]
TEXTS = [
    *(b"", b"a", b"Hello", b" world", b"x" * 300),
    # Escapes, and what ends with one.
    *(
        b"\\n",
        b"\\\\",
        b'\\"',
        b"a\\\\\\\\",
        b"\\u00e9",
        b"\\ud83d\\ude00",
        b"\\ud83d",
        b"\\ude00 b",
        "é😀\u2028".encode(),
    ),
    # Halves of a character.
    *(b"\\ud83d", b"\\ude00 b", b"\\\\ud83d"),
    # What looks like the frame of a chunk, as text.
    *(
        b'\\",\\"',
        b'\\"}}]}',
        b'{\\"content\\": \\"a\\"}',
        b"data: ",
        b"\\n\\ndata: {",
        b"[DONE]",
        b'\\"obfuscation\\":\\"',
    ),
]
# What is not JSON inside a string.
BAD_TEXTS = [
    b"\\",
    b'"',
    b'","',
    b'"},{"',
    b"\n",
    b"\n\n",
    b"\n\ndata: ",
    b"\t",
    b"\x00",
    b"\\x",
]
# What is no UTF-8.
BROKEN_TEXTS = [b"\xff", b"\xed\xa0\x80", b"\xe2\x82"]
PADDINGS = [b"", b"a", b"xYz9", b"N0" * 20]
BAD_PADDINGS = [b"a-b", b"\\", b'a","b":"c', b"\\x", b"\xff", b"\xc3\xa9", b"\\ud800", b"\n"]
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
OTHERS = [
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n',
    b'data: {"choices":[{"delta":null}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"two "}}],\ndata: "id":"lines"}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2},"service_tier":"default"}\n\n',
    b'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n',
    b'data: {"choices":[],"x_groq":{"usage":{"prompt_tokens":5,"completion_tokens":2}}}\n\n',
    b'data:{"choices":[{"delta":{"content":"tight"}}]}\n\n',
    b'event: message\nid: 1\ndata: {"choices":[{"delta":{"content":"named"}}]}\n\n',
    *(b": comment\n\n", b":\n", b"\n", b"\n\n\n", b"retry: 5\n\n", b"data: \n\n", b"data: null\n\n", b"data: 5\n\n"),
]
ENDS = [
    *(FINISH, FINISH + b"data: [DONE]\n\n", b"data: [DONE]\n\n", b"data: [done] \n\n"),
    b'data: {"choices":[{"text":"","finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n',
    b'data: {"choices":[{"delta":{"content":""},"finish_reason":"error"}]}\n\n',
    b'data: {"error":{"message":"boom","code":502}}\n\n',
    *(b"data: {oops}\n\n", b"data: <html>\n\n", b"<html>\n\n", b'{"error":1}\n\n', b'data: {"choices":[{"de'),
]
LINE_ENDS = [b"\n", b"\n", b"\n", b"\r\n", b"\r"]


def event(form: bytes, text: bytes = b"a", padding: bytes = b"xYz9") -> bytes:
    return b"data: " + form.replace(b'"T"', b'"%s"' % text).replace(b'"P"', b'"%s"' % padding) + b"\n\n"


def run(turns: list[bytes], said: list[tuple[bytes, bytes]]) -> bytes:
    """Chunks of one form, or of two in turns."""
    return b"".join(event(form, *each) for form, each in zip(itertools.cycle(turns), said, strict=False))


def runs(forms: list[bytes], texts: list[bytes], paddings: list[bytes]) -> st.SearchStrategy[bytes]:
    """Runs of chunks whose texts and paddings are of these."""
    said = st.lists(st.tuples(st.sampled_from(texts), st.sampled_from(paddings)), min_size=1, max_size=6)
    return st.builds(run, st.lists(st.sampled_from(forms), min_size=1, max_size=2), said)


def stream_of(mark: bytes, parts: list[bytes], end: bytes, line_end: bytes) -> bytes:
    return (mark + b"".join(parts) + end).replace(b"\n", line_end)


GOOD_RUNS = runs(FORMS + ODD_FORMS, TEXTS, PADDINGS)
BAD_RUNS = runs(FORMS, TEXTS + BAD_TEXTS + BROKEN_TEXTS, PADDINGS + BAD_PADDINGS)
PARTS = st.one_of(GOOD_RUNS, GOOD_RUNS, GOOD_RUNS, st.sampled_from(OTHERS))
ANY_PARTS = st.one_of(GOOD_RUNS, BAD_RUNS, st.sampled_from(OTHERS + ENDS))
STREAMS = st.builds(
    stream_of,
    st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf"]),
    st.one_of(st.lists(PARTS, max_size=6), st.lists(ANY_PARTS, max_size=6)),
    st.sampled_from([b"", *ENDS]),
    st.sampled_from(LINE_ENDS),
)
# Where one event ends, whatever ends its lines.
EVENT_END = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r)")
# The size of each piece, 0 for a piece per line, -1 for one per event; or the places of the cuts.
CUTS = st.one_of(
    st.sampled_from([-1, -1, 0, 1, 2, 3, 7, 64, 500, 100_000]), st.lists(st.integers(0, 3_000), max_size=12)
)


def cut(body: bytes, cuts: int | list[int]) -> list[bytes]:
    if cuts == -1:
        return EVENT_END.split(body)
    if cuts == 0:
        return body.splitlines(keepends=True)
    if isinstance(cuts, int):
        return [body[at : at + cuts] for at in range(0, len(body), cuts)]
    at = sorted({0, len(body), *(place % (len(body) + 1) for place in cuts)})
    return [body[a:b] for a, b in itertools.pairwise(at)]


def check(body: bytes, cuts: int | list[int]) -> None:
    pieces = cut(body, cuts)
    seen = told(OpenAiStream(), pieces)
    assert seen == told(careful(), pieces)
    assert seen == told(careful(), [body])
    assert seen == told_at_once(pieces)


@settings(max_examples=200)
@given(STREAMS, CUTS)
def test_runs_are_read_as_their_chunks_are(body: bytes, cuts: int | list[int]) -> None:
    """Bytes, text, usage, end, failure and count are those of the careful reading, however the stream is cut."""
    check(body, cuts)


@pytest.mark.parametrize("form", FORMS + ODD_FORMS)
def test_every_single_cut_of_a_run_is_without_effect(form: bytes) -> None:
    """Inside a name, an escape, a character, the padding or the blank line."""
    texts = ("a", 'é\\"', "", "b")
    body = b"".join(event(form, text.encode(), b"xY"[at % 3 :]) for at, text in enumerate(texts))
    whole = told(careful(), [body + FINISH])
    for at in range(0, len(body), 1 + len(body) // 250):
        assert told(OpenAiStream(), [body[:at], body[at:] + FINISH]) == whole


@pytest.mark.parametrize("form", [PLAIN, PADDED], ids=["plain", "padded"])
@pytest.mark.parametrize("text", BAD_TEXTS)
def test_a_text_that_is_not_json_fails_where_it_stands(form: bytes, text: bytes) -> None:
    """What came before has left, what comes behind does not, and the failure is the careful reading's."""
    body = event(form, b"a") * 3 + event(form, text) + event(form, b"b") * 3 + FINISH
    for cuts in (-1, 0, 1, 100, len(body)):
        check(body, cuts)
    assert told(OpenAiStream(), [body])["out"] == event(form, b"a") * 3


@pytest.mark.parametrize("form", [PLAIN, PADDED], ids=["plain", "padded"])
@pytest.mark.parametrize("text", BROKEN_TEXTS)
def test_a_text_that_is_no_utf_8_gets_replacement_characters(form: bytes, text: bytes) -> None:
    """A character that is cut over two chunks must not end an answer; clients read UTF-8 only."""
    body = event(form, b"a") * 3 + event(form, text) + event(form, b"b") * 3 + FINISH
    for cuts in (-1, 0, 1, 100, len(body)):
        check(body, cuts)
    seen = told(OpenAiStream(), [body])
    mended = text.decode("utf-8", "replace")
    assert seen["out"] == event(form, b"a") * 3 + event(form, mended.encode()) + event(form, b"b") * 3
    assert (seen["said"][0], seen["end"][0]) == (f"aaa{mended}bbb", True)


@pytest.mark.parametrize("padding", BAD_PADDINGS)
def test_padding_that_is_not_json_is_read_as_ever(padding: bytes) -> None:
    """Some of it is no fault at all where nobody reads it: that is for the careful reading to say."""
    body = event(PADDED, b"a") * 3 + event(PADDED, b"b", padding) + event(PADDED, b"c") * 3 + FINISH
    for cuts in (-1, 0, 1, 100, len(body)):
        check(body, cuts)


@pytest.mark.parametrize("other", OTHERS + ENDS)
def test_what_stands_in_a_run_parts_it(other: bytes) -> None:
    """Notes, usages, ends, errors and what is no event: before, in and behind a run, in pieces of every size."""
    plain = event(PLAIN) * 3
    for body in (other + plain, plain + other + plain, plain + other):
        for cuts in (-1, 0, 1, 100, len(body)):
            check(body, cuts)


@pytest.fixture
def read_in_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many chunks each run had that was read as a whole; 1 for each that was read alone."""
    counts: list[int] = []
    read, read_one, read_framed = ChunkTemplate.read, ChunkTemplate.read_one, ChunkTemplate.read_framed

    def count(self: ChunkTemplate, piece: bytes, start: int) -> tuple[str, int, int] | None:
        found = read(self, piece, start)
        if found is not None:
            counts.append(found[1])
        return found

    def count_framed(self: ChunkTemplate, events: Sequence[bytes], piece: bytes, start: int) -> str | None:
        text = read_framed(self, events, piece, start)
        if text is not None:
            counts.append(len(events))
        return text

    def count_one(self: ChunkTemplate, piece: bytes) -> str | None:
        text = read_one(self, piece)
        if text is not None:
            counts.append(1)
        return text

    monkeypatch.setattr(ChunkTemplate, "read", count)
    monkeypatch.setattr(ChunkTemplate, "read_one", count_one)
    monkeypatch.setattr(ChunkTemplate, "read_framed", count_framed)
    return counts


@pytest.mark.parametrize("form", [PLAIN, SPACED, CALL, PADDED], ids=["plain", "spaced", "call", "padded"])
@pytest.mark.parametrize("how", ["whole", "an event each", "1400 bytes each", "cut at random"])
def test_most_of_a_long_stream_is_read_in_runs(form: bytes, how: str, read_in_runs: list[int]) -> None:
    """The first chunk shows the form; besides it, only cut chunks and the end are read one by one."""
    draw = random.Random(how)  # noqa: S311 - texts that repeat, not secrets
    events = [event(form, b"w" * draw.randrange(9), b"p" * draw.randrange(16)) for _ in range(100)]
    body = event(PLAIN, b"").replace(b'{"content', b'{"role":"assistant","content') + b"".join(events)
    body += FINISH + b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
    pieces = {
        "whole": [body],
        "an event each": [each + b"\n\n" for each in body.split(b"\n\n")[:-1]],
        "1400 bytes each": cut(body, 1_400),
        "cut at random": cut(body, [draw.randrange(len(body)) for _ in range(15)]),
    }[how]
    stream = OpenAiStream()
    out = told(stream, pieces)["out"]
    assert (out, stream.events, stream.finished) == (body[: body.index(FINISH)], 102, True)
    assert stream.usage == Usage(input_tokens=5, output_tokens=2)
    assert sum(read_in_runs) >= (98 if how in ("whole", "an event each") else 80)
    assert len(read_in_runs) == 1 or how != "whole"
    read_in_runs.clear()
    assert OpenAiStream().feed_all(pieces) == out
    # An event each, as servers frame them: what each says is cut out of it, and its form is looked for in none.
    assert (read_in_runs == [100]) == (how == "an event each")


def test_forms_that_never_come_back_are_given_up(read_in_runs: list[int]) -> None:
    """A stream whose every chunk differs is read one by one, and looked at no longer."""
    stream = OpenAiStream()
    body = b"".join(event(PLAIN.replace(b"c1", b"c%d" % at)) for at in range(MAX_LESSONS))
    assert stream.feed(body) == body
    later = event(PLAIN) * 10
    assert stream.feed(later) == later
    assert (read_in_runs, stream.events, stream.delivered().text()) == ([], MAX_LESSONS + 10, "a" * (MAX_LESSONS + 10))


def test_another_form_is_learnt_from_its_first_chunk(read_in_runs: list[int]) -> None:
    """Reasoning, then an answer, then a call."""
    stream = OpenAiStream()
    for form in (REASONING, PADDED, CALL):
        for _ in range(20):
            assert stream.feed(event(form)) == event(form)
    assert read_in_runs == [1] * 57
    assert stream.events == 60


def test_the_chunk_that_shows_a_form_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says is known when its form is: only the role, the end and the usage are read by themselves."""
    alone: list[bytes] = []
    take = OpenAiStream._take  # pyright: ignore[reportPrivateUsage]  # the reading of one chunk by itself

    def note(self: OpenAiStream, data: bytes) -> bytes:
        alone.append(data)
        return take(self, data)

    monkeypatch.setattr(OpenAiStream, "_take", note)
    role = event(PLAIN, b"").replace(b'{"content', b'{"role":"assistant","content')
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
    stream = OpenAiStream()
    seen = told(stream, [role + event(PLAIN) * 5 + event(CALL) * 5 + FINISH + usage + b"data: [DONE]\n\n"])
    assert (seen["said"][0], seen["events"], seen["end"][0]) == ("a" * 10, 12, True)
    assert [data[:40] for data in alone] == [each[6:46] for each in (role, FINISH, usage)]


@pytest.mark.parametrize("folder", ["openai/chat", "groq/chat", "openrouter/chat", "openai/completions"])
def test_recorded_streams_are_read_as_their_chunks_are(folder: str) -> None:
    """Whole, in events, in lines, in the pieces of a network and at random: a hundred and more streams."""
    for item in map(recordings.load, recordings.recordings(folder)):
        if recordings.is_stream(item):
            body = recordings.body_of(item)
            whole = told(careful(), [body])
            at_random = (recordings.cut(body, "random", str(seed)) for seed in range(3))
            for pieces in ([body], cut(body, -1), cut(body, 0), cut(body, 1_400), *at_random):
                assert told(OpenAiStream(), pieces) == whole, item["id"]
