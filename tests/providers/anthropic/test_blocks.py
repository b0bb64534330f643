"""The content blocks of a stream."""

from collections.abc import Callable
from typing import Any

import pytest

from providers.errors import InvalidAnswer

Say = Callable[..., bytes]
Stream = Callable[..., Any]
TEXT = {"type": "text", "text": ""}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


def delta(kind: str, **members: Any) -> dict[str, Any]:
    """A delta."""
    return {"type": kind} | members


def test_a_tools_input_arrives_in_pieces(say: Say, stream: Stream) -> None:
    """The pieces are handed on as they come, under the index among the calls."""
    pieces = [delta("input_json_delta", partial_json=piece) for piece in ("", '{"a": ', "1.50}")]
    outcome = stream(say((TEXT, []), (TOOL, pieces), (TOOL | {"id": "toolu_2"}, pieces), stop_reason="tool_use"))
    assert outcome.calls == [
        {"id": "toolu_1", "name": "f", "arguments": '{"a": 1.50}'},
        {"id": "toolu_2", "name": "f", "arguments": '{"a": 1.50}'},
    ]


@pytest.mark.parametrize(
    ("given", "pieces", "arguments"),
    [({}, [], "{}"), ({}, [""], "{}"), ({"a": 1}, [], '{"a": 1}'), ({"a": 1}, ['{"b": 2}'], '{"b": 2}')],
)
def test_a_tool_without_pieces_has_the_input_of_its_start(
    say: Say, stream: Stream, given: Any, pieces: list[str], arguments: str
) -> None:
    """Arguments are never empty text, which is no JSON."""
    deltas = [delta("input_json_delta", partial_json=piece) for piece in pieces]
    assert stream(say((TOOL | {"input": given}, deltas))).calls[0]["arguments"] == arguments


def test_a_caller_of_functions_gets_a_function_call(say: Say, stream: Stream) -> None:
    """Who speaks the older words is answered in them; a second call has no place there."""
    pieces = [delta("input_json_delta", partial_json='{"a":1}')]
    body = {"functions": [{"name": "f"}]}
    outcome = stream(say((TOOL, pieces), (TOOL, pieces), stop_reason="tool_use"), body=body)
    assert outcome.function_call == {"name": "f", "arguments": '{"a":1}'}
    assert (outcome.calls, outcome.finish) == ([], "function_call")


def test_thinking_comes_in_pieces_and_once_whole(say: Say, stream: Stream) -> None:
    """The pieces are reasoning_content; the signed whole is what must go back."""
    deltas = [
        delta("thinking_delta", thinking="Hm"),
        delta("thinking_delta", thinking="."),
        delta("signature_delta", signature="a"),
        delta("signature_delta", signature="b"),
    ]
    outcome = stream(say(({"type": "thinking", "thinking": "", "signature": ""}, deltas)))
    assert outcome.reasoning == "Hm."
    assert outcome.thinking_blocks == [{"type": "thinking", "thinking": "Hm.", "signature": "ab"}]


def test_thinking_that_is_not_shown_still_goes_back(say: Say, stream: Stream) -> None:
    """display omitted leaves the text empty; the signature holds the thought."""
    outcome = stream(say(({"type": "thinking", "thinking": ""}, [delta("signature_delta", signature="s")])))
    assert outcome.thinking_blocks == [{"type": "thinking", "thinking": "", "signature": "s"}]


def test_unsigned_thinking_is_no_block(say: Say, stream: Stream) -> None:
    """It could not go back."""
    outcome = stream(say(({"type": "thinking", "thinking": ""}, [delta("thinking_delta", thinking="Hm")])))
    assert (outcome.reasoning, outcome.thinking_blocks) == ("Hm", [])


def test_redacted_thinking_goes_back_as_it_came(say: Say, stream: Stream) -> None:
    """It is opaque."""
    block = {"type": "redacted_thinking", "data": "EmwK"}
    assert stream(say((block, []))).thinking_blocks == [block]


def test_citations_come_with_their_range(say: Say, stream: Stream) -> None:
    """Pages are OpenAI's annotations; every citation is also handed on as it came."""
    page = {"type": "web_search_result_location", "url": "https://x.test/", "title": "X", "cited_text": "c"}
    place = {"type": "char_location", "document_index": 0, "cited_text": "c"}
    deltas = [
        delta("citations_delta", citation=page),
        delta("text_delta", text="it rains"),
        delta("citations_delta", citation=place),
    ]
    outcome = stream(say((TEXT, [delta("text_delta", text="So: ")]), (TEXT | {"citations": []}, deltas)))
    cited = {"url": "https://x.test/", "title": "X", "start_index": 4, "end_index": 12}
    assert outcome.annotations == [{"type": "url_citation", "url_citation": cited}]
    assert outcome.citations == [page, place]


def test_a_summary_is_handed_on_whole(say: Say, stream: Stream) -> None:
    """It must go back to go on."""
    deltas = [delta("compaction_delta", content="We spoke.", encrypted_content="E")]
    outcome = stream(say(({"type": "compaction", "content": None}, deltas)))
    assert outcome.compaction_blocks == [{"type": "compaction", "content": "We spoke.", "encrypted_content": "E"}]


@pytest.mark.parametrize("kind", ["server_tool_use", "mcp_tool_use"])
def test_a_server_tool_is_not_shown(say: Say, stream: Stream, kind: str) -> None:
    """The provider runs it; its input was produced all the same, so it counts for estimates."""
    deltas = [delta("input_json_delta", partial_json='{"q":1}')]
    outcome = stream(say(({"type": kind, "id": "s", "name": "web_search", "input": {}}, deltas), (TEXT, [])))
    assert outcome.calls == []
    assert outcome.delivered == '{"q":1}'


def test_unknown_blocks_and_deltas_are_passed_over(say: Say, stream: Stream) -> None:
    """Anthropic adds new ones within a version."""
    new = delta("hologram_delta", beam=1)
    outcome = stream(say(({"type": "hologram", "x": 1}, [new]), (TEXT, [new, delta("text_delta", text="hi")])))
    assert (outcome.text, outcome.failure) == ("hi", None)


@pytest.mark.parametrize(
    ("lost", "text", "reasoning"),
    [(delta("text_delta", text="hi"), "hi", ""), (delta("thinking_delta", thinking="hm"), "", "hm")],
)
def test_a_block_whose_start_was_lost_explains_itself(
    write: Say, stream: Stream, lost: Any, text: str, reasoning: str
) -> None:
    """Text is text, thinking is thinking; the first chunk still has the role."""
    event = {"type": "content_block_delta", "index": 4, "delta": lost}
    outcome = stream(write(event, {"type": "message_stop"}))
    assert (outcome.text, outcome.reasoning, outcome.roles, outcome.failure) == (text, reasoning, 1, None)


def test_a_tools_input_without_its_tool_is_an_invalid_answer(write: Say, stream: Stream) -> None:
    """Nobody could say which call it belongs to."""
    lost = delta("input_json_delta", partial_json="{}")
    outcome = stream(write({"type": "content_block_delta", "index": 4, "delta": lost}))
    assert isinstance(outcome.failure, InvalidAnswer)


def test_a_block_that_is_begun_again_ends_the_one_before(write: Say, stream: Stream) -> None:
    """A stop was lost: the call's empty input is still said."""
    start = {"type": "content_block_start", "index": 0, "content_block": TOOL}
    outcome = stream(write(start, start | {"content_block": TEXT}, {"type": "message_stop"}))
    assert outcome.calls == [{"id": "toolu_1", "name": "f", "arguments": "{}"}]


def test_all_that_was_produced_counts_for_estimates(say: Say, stream: Stream) -> None:
    """Contents, reasoning, tools' names and arguments."""
    outcome = stream(
        say(
            ({"type": "thinking", "thinking": ""}, [delta("thinking_delta", thinking="hm")]),
            (TEXT, [delta("text_delta", text="hi")]),
            (TOOL, [delta("input_json_delta", partial_json='{"a":1}')]),
        )
    )
    assert outcome.delivered == 'hmhi\nf\n{"a":1}'
