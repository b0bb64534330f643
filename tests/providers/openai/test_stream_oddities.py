"""Streams as nobody should send them: read in runs or chunk by chunk, they are the same."""

import pytest
from stream_readers import careful, told

from providers.errors import InvalidAnswer
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
    "a byte order mark in a cut event": [A + MARK + A[:5], A[5:]],
    "an event longer than the bound": [said(b"y" * 1_100_000)],
    "a half event longer than the bound": [A + said(b"y" * 1_100_000)[:-4]],
    "more said than is kept": [said(b"x" * 524_288), A + A],
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_run_is_read_as_its_chunks_are(name: str) -> None:
    """Each of these was read otherwise in a run."""
    assert told(OpenAiStream(), KNOWN[name]) == told(careful(), KNOWN[name])


@pytest.mark.parametrize(
    "broken",
    [
        b'data: {"usage":5,\n\n',
        b'data: {"choices":[{"delta":{"content":["\\"]}}]}\n\n',
        b'data: {"usage":5,"choices":[{"delta":"\xff"}]}\n\n',
        b'data: {"usage":1,"a":' + b"[" * 100_000 + b"\n\n",
    ],
    ids=["truncated", "escape", "utf-8", "depth"],
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
