"""Forms of chunks: what is one, how far a run of it reaches, and what is left to the careful reading."""

import pytest

from providers.openai.template import ChunkTemplate

# Where a text (T) and OpenAI's padding (P) stand in a chunk.
CONTENT = b'{"id":"c1","choices":[{"index":0,"delta":{"content":"T"},"logprobs":null,"finish_reason":null}]}'
PADDED = b'{"id":"c1","choices":[{"index":0,"delta":{"content":"T"},"finish_reason":null}],"obfuscation":"P"}'
CALL = b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"T"}}]},"finish_reason":null}]}'


def event(form: bytes, text: bytes = b"Hi", padding: bytes = b"xYz9") -> bytes:
    return b"data: " + form.replace(b'"T"', b'"%s"' % text).replace(b'"P"', b'"%s"' % padding) + b"\n\n"


def learnt(form: bytes) -> ChunkTemplate:
    template = ChunkTemplate.learn(event(form))
    assert template is not None
    return template


@pytest.mark.parametrize(
    "form",
    [
        CONTENT,
        PADDED,
        CALL,
        b'{"choices":[{"delta":{"reasoning":"T"}}]}',
        b'{"choices":[{"delta":{"content":null,"reasoning_content":"T"}}],"usage":null}',
        b'{"choices":[{"delta":{"function_call":{"arguments":"T"}}}],"error":null}',
        b'{"choices":[{"text":"T","index":0,"logprobs":null,"finish_reason":null}]}',
        b'{"choices": [{"index": 0, "delta": {"content": "T"}, "finish_reason": null}], "x_groq": null}',
        b'{"obfuscation":"P","choices":[{"delta":{"content":"T"}}]}',
        b'{"choices":[{"delta":{"content":"T"}}],"obfuscation": "P"}',
        b'{"choices":[{"delta":{"content":"T","obfuscation":"P"}}]}',
    ],
)
def test_a_chunk_that_says_one_thing_is_a_form(form: bytes) -> None:
    """Whatever the member is called, each further chunk's text is read, to the end of the last chunk."""
    run = event(form, b"a") + event(form, b"") + event(form, b"c d")
    assert learnt(form).read(run, 0) == ("ac d", 3, len(run))


@pytest.mark.parametrize("form", [CONTENT, PADDED, CALL], ids=["content", "padded", "call"])
@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"a", b" world", b"\\n", b"\\\\", b'\\"', b'a\\",\\"b', b'\\"}}]}', b"\\u00e9", "é😀\u2028".encode()),
        *(b"\\", b'"', b'","', b'","p', b'"}', b"\n", b"\r", b"\n\ndata: ", b"\x00", b"\\x", b"\\ud83d", b"\xff"),
    ],
)
@pytest.mark.parametrize("padding", [b"", b"aZ09", b"a-b", b'"', b"\\", b"\r", b"\xc3\xa9", b'a","obfuscation":"b'])
def test_a_chunk_alone_is_read_as_a_run_of_one(form: bytes, text: bytes, padding: bytes) -> None:
    """Or not at all; and one with a CR, which no run may have, never."""
    template, one = learnt(form), event(form, text, padding)
    run = None if b"\r" in one else template.read(one, 0)
    alone = template.read_one(one)
    assert alone == (None if run is None else run[0]) or (alone is None and b"P" in form and not padding.isalnum())


@pytest.mark.parametrize("form", [CONTENT, PADDED, CALL], ids=["content", "padded", "call"])
def test_what_is_more_or_less_than_a_chunk_is_not_read_as_one(form: bytes) -> None:
    """A cut one, two, one with something before or behind it; and a long one, which a run may be."""
    template, one = learnt(form), event(form)
    assert template.read_one(one) == "Hi"
    tailed = one[:-2] + b"\ndata: x\n\n"
    for piece in (b"", one + one, one + b"\n", b"\n" + one, one + b": x\n\n", b": x\n\n" + one, tailed):
        assert template.read_one(piece) is None
    for at in range(1, len(one)):
        assert template.read_one(one[:at]) is template.read_one(one[at:]) is None
        lacking = one[:at] + one[at + 1 :]
        run = template.read(lacking, 0)
        assert template.read_one(lacking) == (None if run is None else run[0])
    assert template.read_one(event(form, b"x" * 2 * len(one))) is None


def test_an_empty_finish_reason_is_none() -> None:
    """Some servers fill it in so in every chunk."""
    form = b'{"choices":[{"delta":{"content":"T"},"finish_reason":""}]}'
    assert learnt(form).read_one(event(form)) == "Hi"


@pytest.mark.parametrize(
    "form",
    [
        # Nothing is said, or nothing that the gateway knows of.
        b'{"choices":[{"delta":{"role":"assistant"}}]}',
        b'{"choices":[{"delta":{"role":"assistant","content":""}}]}',
        b'{"choices":[{"delta":{"refusal":"T"}}]}',
        b'{"choices":[{"delta":{"content":null}}]}',
        b'{"choices":[{"delta":{"content":["T"]}}]}',
        b'{"choices":[{"delta":{"x\\"content":"T"}}]}',
        b'{"choices":[],"text":"T"}',
        b'{"choices":[{"delta":{}}],"text":"T"}',
        b'{"choices":[{"delta":{},"text":"T"}]}',
        b'{"choices":[{"delta":{},"logprobs":{"content":"T"}}]}',
        # More than one thing is said, or a choice among things is made.
        b'{"choices":[{"delta":{"content":"T","content":"T"}}]}',
        b'{"choices":[{"delta":{"content":"T","reasoning":"T"}}]}',
        b'{"choices":[{"delta":{"content":"T"}},{"delta":{"content":"T"}}]}',
        b'{"choices":[{"delta":{"content":"T"}},{"delta":{}}]}',
        b'{"choices":[{"delta":{"content":"T","refusal":"no"}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"name":"pay","arguments":"T"}}]}}]}',
        b'{"choices":[{"delta":{"content":"T"}}],"choices":[]}',
        # More than saying is done.
        b'{"choices":[{"delta":{"content":"T"},"finish_reason":"stop"}]}',
        b'{"choices":[{"delta":{"content":"T"},"finish_reason":" "}]}',
        b'{"choices":[{"delta":{"content":"T"}}],"usage":{"prompt_tokens":1}}',
        b'{"choices":[{"delta":{"content":"T"}}],"usage":{},"usage":null}',
        b'{"choices":[{"delta":{"content":"T"}}],"error":{"message":"no"}}',
        b'{"choices":[{"delta":{"content":"T"}}],"error":false}',
        b'{"choices":[{"delta":{"content":"T"}}],"x_groq":{"id":"r"}}',
        b'{"choices":[{"delta":{"content":"T"},"usage":{"prompt_tokens":1}}]}',
        # Of unusual types, which are not read as the usual ones.
        b'{"choices":[{"index":"0","delta":{"content":"T"}}]}',
        # No chunk at all.
        b'{"content":"T"}',
        b'["content","T"]',
        b'{"choices":[{"delta":{"content":"T"}}]',
        b'{"choices":[{"delta":{"content":"T"}}]}}',
        b'{"choices":[{"delta":{"content":"T}}]}',
        b'{"choices":[{"delta":{"content":"T"}}],"id":\xff}',
        b'[{"choices":[{"delta":{"content":"T"}}]}]',
    ],
)
def test_anything_else_is_no_form(form: bytes) -> None:
    """An end, a usage, an error, a second text or none: such a chunk is for the careful reading."""
    assert ChunkTemplate.learn(event(form)) is None


@pytest.mark.parametrize(
    "whole",
    [
        b"",
        b"\n\n",
        b"data: [DONE]\n\n",
        b": " + event(CONTENT)[6:],
        b"\n" + event(CONTENT),
        b"data:" + event(CONTENT)[6:],
        b"data:  " + event(CONTENT)[6:],
        b"event: message\n" + event(CONTENT),
        event(CONTENT)[:-2] + b"\ndata: \n\n",
        event(CONTENT)[:-2] + b"\nid: 7\n\n",
        event(CONTENT)[:-1],
        event(CONTENT) + b"data: ",
    ],
)
def test_an_event_with_another_frame_is_no_form(whole: bytes) -> None:
    """One line of data, a space behind the colon and a blank line: everything else is rewritten on its way."""
    assert ChunkTemplate.learn(whole) is None


@pytest.mark.parametrize("tier", [None, "", "flex"])
def test_a_form_tells_what_its_first_chunk_does(tier: str | None) -> None:
    """What it says, and of which tier the service is: nothing is left to be read of it."""
    form = CONTENT if tier is None else CONTENT.replace(b'"id":"c1"', b'"service_tier":"%b"' % tier.encode())
    template = ChunkTemplate.learn(event(form, b"\\u00e9\\n"))
    assert template is not None
    assert (template.said, template.tier) == ("é\n", tier)


@pytest.mark.parametrize("text", [b"\\x", b"\t", b"\x00", b"\\ud83d", b"\xff", b"\xed\xa0\x80"])
@pytest.mark.parametrize("form", [CONTENT, PADDED, CALL], ids=["content", "padded", "call"])
def test_no_form_is_learnt_from_a_text_that_is_not_json(form: bytes, text: bytes) -> None:
    """It says nothing that is known."""
    assert ChunkTemplate.learn(event(form, text)) is None


def test_no_form_is_learnt_from_two_lines() -> None:
    """JSON may have a line end where an event may not."""
    assert ChunkTemplate.learn(event(CONTENT.replace(b'"choices"', b'\n"choices"'))) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'\\"', '"'),
        (b"\\\\", "\\"),
        (b"a\\\\\\\\", "a\\\\"),
        (b'\\",\\"', '","'),
        (b"\\n\\ndata: {", "\n\ndata: {"),
        (b"data: ", "data: "),
        (b'{\\"content\\": \\"no\\"}', '{"content": "no"}'),
        (b'\\"}}]}', '"}}]}'),
        (b"\\u00e9\\ud83d\\ude00", "é😀"),
        ("é😀\u2028\x7f".encode(), "é😀\u2028\x7f"),
    ],
)
@pytest.mark.parametrize("form", [CONTENT, PADDED, CALL], ids=["content", "padded", "call"])
def test_a_text_is_read_as_json_does(form: bytes, text: bytes, said: str) -> None:
    """Escapes, and what looks like the frame of a chunk, are text; also in the chunk that shows the form."""
    run = event(form, text)
    template = ChunkTemplate.learn(run)
    assert template is not None
    assert template.read(run * 3, 0) == (said * 3, 3, 3 * len(run))


@pytest.mark.parametrize(
    "text", [b"\\", b'"', b'","', b"\n", b"\t", b"\x00", b"\\x", b"\\ud83d", b"\xff", b"\xed\xa0\x80"]
)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_text_that_is_not_json_ends_the_reading(text: bytes, at: int) -> None:
    """Where the fault is, and what it means, is for the careful reading."""
    texts = [b"a", b"b", b"c"]
    texts[at] = text
    run = b"".join(event(CONTENT, each) for each in texts)
    assert learnt(CONTENT).read(run, 0) is None


@pytest.mark.parametrize("form", [CONTENT, PADDED], ids=["content", "padded"])
@pytest.mark.parametrize("before", [b"", b": comment\n\n", event(CALL)])
@pytest.mark.parametrize("behind", [b"", b"d", b"data: [DO", event(CALL)[:-1], b"data: [DONE]\n\n", event(CALL)])
def test_a_run_ends_with_its_last_chunk(form: bytes, before: bytes, behind: bytes) -> None:
    """From the start that is given, what stands before and behind does not matter."""
    run = event(form, b"a") + event(form, b"b")
    assert learnt(form).read(before + run + behind, len(before)) == ("ab", 2, len(before + run))


def test_half_a_chunk_is_left_behind() -> None:
    """A cut chunk of the same form is not of the run, and alone it is none."""
    whole = event(CONTENT)
    for cut in range(1, len(whole)):
        assert learnt(CONTENT).read(whole + whole[:cut], 0) == ("Hi", 1, len(whole))
        assert learnt(CONTENT).read(whole[:cut], 0) is None


@pytest.mark.parametrize(
    "other",
    [
        event(CALL),
        event(CONTENT.replace(b"c1", b"c2")),
        event(CONTENT.replace(b"null}]", b'"stop"}]')),
        event(CONTENT)[:-2],
        event(CONTENT).replace(b'"Hi"', b"null"),
        event(CONTENT)[1:],
        b"\n",
        b": comment\n\n",
        b"data: [DONE]\n\n",
        b"data: \n\n",
        b"data: x\n\n",
    ],
)
def test_a_run_with_something_else_inside_is_not_read(other: bytes) -> None:
    """Something of another form may stand behind a run, but neither first nor in it."""
    same = event(CONTENT)
    assert learnt(CONTENT).read(other + same, 0) is None
    assert learnt(CONTENT).read(same + other + same, 0) is None


def test_another_text_than_the_learnt_one_begins_a_run() -> None:
    """Nothing of the learnt text is kept; a start behind the last chunk finds nothing."""
    run = event(CONTENT, b"x" * 5_000) + event(CONTENT, b"")
    assert learnt(CONTENT).read(run, 0) == ("x" * 5_000, 2, len(run))
    assert learnt(CONTENT).read(run, 1) is None
    assert learnt(CONTENT).read(run, len(run)) is None


@pytest.mark.parametrize("padding", [b"", b"a", b"Zz0" * 400, b"not of our alphabet: \xc3\xa9", b'\\"'])
def test_padding_may_change_from_chunk_to_chunk(padding: bytes) -> None:
    """It is a string of any length, and none of what is said."""
    run = event(PADDED, b"a", padding) + event(PADDED, b"b", b"p") + event(PADDED, b"", padding)
    assert learnt(PADDED).read(run, 0) == ("ab", 3, len(run))
    template = ChunkTemplate.learn(event(PADDED, b"a", b"" if padding.isalnum() else b"q"))
    assert template is not None
    assert template.read(run, 0) == ("ab", 3, len(run))


@pytest.mark.parametrize("form", [PADDED, b'{"choices":[{"delta":{"content":"T","obfuscation":"P"}}]}'])
@pytest.mark.parametrize(
    "padding",
    [b'"', b"\\", b"\n", b"\xff", b"\\ud800", b'a","b', b'a","obfuscation":"b', b'"}],"obfuscation":"b'],
)
def test_padding_that_is_not_one_string_ends_the_reading(form: bytes, padding: bytes) -> None:
    """As for a text: what it means is for the careful reading."""
    good = event(form, b"a")
    assert learnt(form).read(good + event(form, b"b", padding) + good, 0) is None


def test_a_text_that_reads_as_text_and_padding_ends_the_reading() -> None:
    """Also where another chunk of the run has what this one lacks."""
    lacking = event(PADDED).replace(b'"Hi"},"finish_reason":null}],"obfuscation":"xYz9"', b'"a","b"')
    twice = event(PADDED, padding=b'a"},"finish_reason":null}],"obfuscation":"b')
    assert lacking != event(PADDED)
    for run in (lacking, lacking + twice, twice + lacking, event(PADDED) + lacking + twice):
        assert learnt(PADDED).read(run, 0) is None
        assert learnt(PADDED).read_one(run) is None


def test_a_chunk_without_its_padding_is_of_another_form() -> None:
    """A form has padding in all of its chunks or in none."""
    bare = PADDED.replace(b',"obfuscation":"P"', b"")
    assert learnt(PADDED).read(event(PADDED) + event(bare) + event(PADDED), 0) is None
    assert learnt(bare).read(event(bare) + event(PADDED) + event(bare), 0) is None


def test_padding_before_the_text_is_part_of_the_form() -> None:
    """Only padding behind the text is looked for: where it stands before, it must stay the same."""
    form = b'{"obfuscation":"P","choices":[{"delta":{"content":"T"}}]}'
    assert learnt(form).read(event(form) + event(form, padding=b"other") + event(form), 0) is None


@pytest.mark.parametrize("form", [CONTENT, PADDED, CALL], ids=["content", "padded", "call"])
def test_events_of_a_run_are_read_as_the_run_is(form: bytes) -> None:
    """Each event of its own, behind whatever stands before them."""
    template = learnt(form)
    for texts in ((b"a", b"", b"c d"), (b"\\n", "é".encode()), (b"\\u00e9",), (b"a", b"\\\\"), (b'\\"', b"b")):
        events = [event(form, text, b"p" * at) for at, text in enumerate(texts)]
        run = b"".join(events)
        found = template.read(run, 0)
        assert found is not None
        assert template.read_framed(events, b"before" + run, 6) == found[0]


@pytest.mark.parametrize("bad", [b"\\", b'"', b'","', b"\n", b"\x00", b"\\x", b"\\ud83d", b"\xff", b"\xed\xa0\x80"])
@pytest.mark.parametrize("form", [CONTENT, PADDED, CALL], ids=["content", "padded", "call"])
def test_events_with_a_text_that_is_not_json_are_not_read(form: bytes, bad: bytes) -> None:
    """Alone, and with what would make two halves a whole."""
    for texts in (
        (b"a", bad, b"b"),
        (bad, bad),
        (bad, b'"'),
        (b"\xc3", b"\xa9"),
        (b"\\ud83d", b"\\ude00"),
        (b"\\", b"n"),
    ):
        events = [event(form, text) for text in texts]
        assert learnt(form).read_framed(events, b"".join(events), 0) is None


def test_pieces_that_are_not_an_event_each_are_not_read_as_such() -> None:
    """Two in one piece, one in two, one of another form, and what is no run at all."""
    template, one, two = learnt(CONTENT), event(CONTENT, b"a"), event(CONTENT, b"b")
    other = event(CONTENT.replace(b"c1", b"c2"))
    half = len(one) // 2
    for pieces in ([one + two, one], [one, two[:half], two[half:]], [one, other, two], [one, other], [other, one], []):
        assert template.read_framed(pieces, b"".join(pieces), 0) is None
    assert [template.is_one(piece) for piece in (one, other, one[:-1], one[1:], b"", one + two)] == [
        *(True, False, False, False, False, True)
    ]


def test_a_form_is_learnt_where_the_next_event_begins_like_it() -> None:
    """The text itself may differ; where nothing follows it may come again."""
    one, two, other = event(CONTENT, b"a"), event(CONTENT, b"b c"), event(CONTENT.replace(b"c1", b"c2"))
    assert ChunkTemplate.learn(one, one, len(one)) is not None
    assert ChunkTemplate.learn(one, one + two, len(one)) is not None
    for behind in (other, two[:20], b"data: [DONE]\n\n"):
        assert ChunkTemplate.learn(one, one + behind, len(one)) is None
