"""What the sandbox reads of a body, of which some is said by OpenAI's older names."""

import json
from typing import Any

import pytest

from providers.sandbox.model import Sandbox
from providers.sandbox.request import Chat, Function, NamedFunction, Tool, renew
from providers.wire import Call

WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
CLOCK = {"name": "get_time"}


def chat(stream: bool = False, text: str = "Hi", **fields: Any) -> Call:
    """A chat call."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return Call(endpoint="chat/completions", body=json.dumps(body).encode(), model="m", stream=stream)


def plan(call: Call) -> Any:
    """What the sandbox says to it."""
    return Sandbox(lambda: 0).plan(call)


def test_functions_are_tools() -> None:
    """Of which one at most is called."""
    told = Chat(messages=[], functions=[Function(name="f")], function_call=NamedFunction(name="f"))
    renewed = renew(told)
    assert renewed.tools == [Tool(function=Function(name="f"))]
    assert renewed.parallel_tool_calls is False


def test_who_says_both_means_the_newer_names() -> None:
    """As at OpenAI."""
    told = Chat(messages=[], tools=[], functions=[Function(name="f")])
    assert renew(told) == Chat(messages=[], tools=[])


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"function_call": {"name": "get_time"}}, "get_time"),
        ({"text": "sandbox:tool:get_weather"}, "get_weather"),
        ({"text": "sandbox:tools:3"}, "get_weather"),
    ],
)
def test_a_function_is_called_by_the_older_names(fields: dict[str, Any], name: str) -> None:
    """Whole, and in a stream whose pieces make the same."""
    whole = json.loads(plan(chat(functions=[WEATHER, CLOCK], **fields)).body)["choices"][0]
    events = plan(chat(stream=True, functions=[WEATHER, CLOCK], **fields)).events
    deltas = [json.loads(event[6:])["choices"] for event in events[:-1]]
    pieces = [
        choice["delta"]["function_call"] for [choice] in filter(None, deltas) if "function_call" in choice["delta"]
    ]
    assert (whole["finish_reason"], whole["message"]["function_call"]["name"]) == ("function_call", name)
    assert "tool_calls" not in whole["message"]
    assert pieces[0] == {"name": name, "arguments": ""}
    assert "".join(piece["arguments"] for piece in pieces) == whole["message"]["function_call"]["arguments"]


@pytest.mark.parametrize("choice", ["auto", "none", None])
def test_no_function_is_called_that_nobody_asked_for(choice: str | None) -> None:
    """Text, as with tools."""
    said = json.loads(plan(chat(functions=[WEATHER], function_call=choice)).body)["choices"][0]
    assert (said["finish_reason"], "function_call" in said["message"]) == ("stop", False)


def test_a_function_that_is_not_there_cannot_be_chosen() -> None:
    """The field that names it is told."""
    reply = plan(chat(functions=[WEATHER], function_call={"name": "nothing"}))
    assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, "function_call")


def test_a_functions_result_ends_the_calling() -> None:
    """Else an agent would never come to an end."""
    messages = [
        {"role": "user", "content": "sandbox:tool:get_weather"},
        {"role": "assistant", "content": None, "function_call": {"name": "get_weather", "arguments": "{}"}},
        {"role": "function", "name": "get_weather", "content": "18 degrees"},
    ]
    said = json.loads(plan(chat(functions=[WEATHER], messages=messages)).body)["choices"][0]
    assert 'The tool answered: "18 degrees".' in said["message"]["content"]
