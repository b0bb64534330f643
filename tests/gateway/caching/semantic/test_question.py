"""What is a question: one text of a user after an exact history, and nothing that could change the answer beside it."""

import json
from typing import Any

import pytest

from gateway.caching.semantic.question import MAX_CHARACTERS, Limits, split

USUAL = Limits(1.0, False)
HELLO: dict[str, Any] = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}]}


def read(body: dict[str, Any], limits: Limits = USUAL) -> tuple[str, bytes] | None:
    """Split a body as it would be sent."""
    return split(json.dumps(body).encode(), limits)


def test_the_last_turn_is_the_question() -> None:
    """The rest is the same whatever is asked."""
    first, second = read(HELLO), read({**HELLO, "messages": [{"role": "user", "content": "Good bye!"}]})
    assert first is not None and second is not None
    assert (first[0], second[0]) == ("Hello!", "Good bye!")
    assert first[1] == second[1]
    json.loads(first[1])


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "gpt-3"},
        {"temperature": 0.5},
        {"seed": 1},
        {"max_tokens": 5},
        {"whatever": {"a": 1}},
        {"messages": [{"role": "system", "content": "Be brief."}, *HELLO["messages"]]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, *HELLO["messages"]]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]},
        {"messages": ["text", *HELLO["messages"]]},
    ],
)
def test_everything_else_is_a_partition_of_its_own(changed: dict[str, Any]) -> None:
    """Parameters known and unknown, the system prompt, the history, and how the turn is written."""
    usual, other = read(HELLO), read({**HELLO, **changed})
    assert usual is not None and other is not None
    assert other[0] == "Hello!"
    assert usual[1] != other[1]


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 1.5},
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "look"}}]},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "Hello!"}]},
        {"messages": [{"role": "user", "content": "Hello!", "name": "ann"}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": " \n"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": "x" * (MAX_CHARACTERS + 1)}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]},
    ],
)
def test_what_is_not_plainly_a_question_is_none(changed: dict[str, Any]) -> None:
    """It is answered by the exact layer only."""
    assert read({**HELLO, **changed}) is None


@pytest.mark.parametrize("given", [{"temperature": None}, {"temperature": 1}, {"n": 1}, {"n": None}, {"tools": []}])
def test_what_says_nothing_keeps_no_question_away(given: dict[str, Any]) -> None:
    """A request without a temperature is one, and so is one at the limit."""
    assert read({**HELLO, **given}) is not None


def test_tools_are_a_question_where_the_project_wants_them() -> None:
    """They stand in the partition."""
    tools = {"tools": [{"type": "function", "function": {"name": "look"}}]}
    usual, offered = read(HELLO), read({**HELLO, **tools}, Limits(1.0, True))
    assert usual is not None and offered is not None
    assert usual[1] != offered[1]


@pytest.mark.parametrize(
    "turn",
    [
        b'{"role":"user","content":"a","content":"b"}',
        b'{"role":"user","content":"a","\\u0063ontent":"b"}',
        b'{"role":"assistant","role":"user","content":"a"}',
    ],
)
def test_a_turn_that_two_readers_read_differently_is_none(turn: bytes) -> None:
    """The provider may take the other of two values."""
    assert split(b'{"model":"m","messages":[%b]}' % turn, USUAL) is None
