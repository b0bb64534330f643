"""Chunks that are read more closely: errors of every form, and choices that lack what clients read."""

import json
from typing import Any

import pytest

from providers.openai.chunk import CHUNK, LOOSE_CHUNK, find_bare_error, is_json, read_named_error, with_deltas


def test_a_chunk_is_read_by_its_members() -> None:
    """The usual reader takes the usual types, the other one any."""
    usual = b'{"choices":[{"index":1,"finish_reason":"stop"}]}'
    odd = b'{"choices":[{"index":"1","delta":[],"finish_reason":5}],"usage":[]}'
    choices = CHUNK.decode(usual).choices
    assert choices is not None
    assert (choices[0].index, choices[0].finish_reason) == (1, "stop")
    assert LOOSE_CHUNK.decode(odd).choices is not None


@pytest.mark.parametrize(
    ("data", "is_error"),
    [
        (b'{"object":"error","message":"no"}', True),
        (b'{"object":"list","message":"error"}', False),
        (b'["error"]', False),
        (b'{"object":"error"', False),
    ],
)
def test_an_object_that_calls_itself_an_error_is_one(data: bytes, is_error: bool) -> None:
    """vLLM sends it without a member of that name."""
    assert (find_bare_error(data) is not None) is is_error


@pytest.mark.parametrize("data", [b'{"error":{"message":"no"}}', b'{"message":"no"}', b'"no"', b" no \n"])
def test_a_named_error_is_read_in_every_form(data: bytes) -> None:
    """An object in a member, the object itself, a text, and what is no JSON."""
    assert read_named_error(data).message == "no"


@pytest.mark.parametrize(("data", "is_one"), [(b" [done] ", True), (b"5", True), (b'{"a":', False), (b"\xff", False)])
def test_the_end_counts_as_json(data: bytes, is_one: bool) -> None:
    """A cut event is told by being none."""
    assert is_json(data) is is_one


@pytest.mark.parametrize("told", [{"choices": [{"index": 0}, {"delta": {"content": "a"}}]}, {"choices": []}])
def test_choices_get_what_clients_read(told: dict[str, Any]) -> None:
    """A delta that is there stays."""
    deltas = [choice["delta"] for choice in json.loads(with_deltas(json.dumps(told).encode()))["choices"]]
    assert deltas == [choice.get("delta", {}) for choice in told["choices"]]


@pytest.mark.parametrize("data", [b"5", b"{}", b'{"choices":5}', b'{"choices":[5]}', b"{"])
def test_what_has_no_choices_stays(data: bytes) -> None:
    """It is not for this to judge."""
    assert with_deltas(data) == data
