"""What the tests of the Anthropic dialect share: calls, streams made of events, and what a client gets of them."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from providers.anthropic.dialect import AnthropicDialect
from providers.chat import Usage
from providers.errors import ProviderError
from providers.wire import Call, StreamReader, WireRequest

GOLDEN = Path(__file__).parents[2] / "golden/anthropic"
NOW_S = 1_700_000_000


@dataclass
class Outcome:
    """What a client of the gateway adds up from a stream, and what the gateway reads beside it."""

    text: str = ""
    reasoning: str = ""
    refusal: str | None = None
    thinking_blocks: list[Any] = field(default_factory=list)
    compaction_blocks: list[Any] = field(default_factory=list)
    annotations: list[Any] = field(default_factory=list)
    citations: list[Any] = field(default_factory=list)
    calls: list[dict[str, str]] = field(default_factory=list)
    function_call: dict[str, str] = field(default_factory=dict)
    roles: int = 0
    id: str = ""
    model: str = ""
    finish: str | None = None
    native_finish: str | None = None
    finished: bool = False
    usage: Usage | None = None
    shown_usage: dict[str, Any] | None = None
    failure: ProviderError | None = None
    delivered: str = ""
    sent: bytes = b""


def add_delta(outcome: Outcome, delta: dict[str, Any]) -> None:
    """Add a delta as a client does."""
    outcome.roles += "role" in delta
    outcome.text += delta.get("content") or ""
    outcome.reasoning += delta.get("reasoning_content") or ""
    for member in ("thinking_blocks", "compaction_blocks", "annotations", "citations"):
        getattr(outcome, member).extend(delta.get(member, []))
    for call in delta.get("tool_calls", []):
        if call["index"] == len(outcome.calls):
            outcome.calls.append({"id": call["id"], "name": call["function"]["name"], "arguments": ""})
        outcome.calls[call["index"]]["arguments"] += call["function"]["arguments"]
    for name, value in delta.get("function_call", {}).items():
        outcome.function_call[name] = outcome.function_call.get(name, "") + value


def read_to_end(reader: StreamReader, pieces: Iterable[bytes]) -> Outcome:
    """Feed the pieces as the gateway does, and add up what came out."""
    outcome = Outcome()
    for piece in pieces:
        outcome.sent += reader.feed(piece)
        if reader.finished or reader.failure:
            break
    else:
        outcome.sent += reader.end()
    for event in outcome.sent.decode().split("\n\n")[:-1]:
        chunk = json.loads(event.removeprefix("data: "))
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["created"] == NOW_S
        outcome.id, outcome.model = chunk["id"], chunk["model"]
        add_delta(outcome, chunk["choices"][0]["delta"])
    if reader.held:
        choice = json.loads(reader.held)["choices"][0]
        outcome.finish, outcome.native_finish = choice["finish_reason"], choice["native_finish_reason"]
        outcome.refusal = choice["delta"].get("refusal")
    if reader.usage_chunk:
        chunk = json.loads(reader.usage_chunk)
        assert chunk["choices"] == []
        outcome.shown_usage = chunk["usage"]
    outcome.usage, outcome.failure, outcome.finished = reader.usage, reader.failure, reader.finished
    outcome.delivered = reader.delivered().text()
    return outcome


def write_events(*events: dict[str, Any]) -> bytes:
    """Write events as Anthropic does."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def write_message(*blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop_reason: str = "end_turn") -> bytes:
    """Write a whole stream of blocks, each with its deltas."""
    usage = {"input_tokens": 25, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-test"}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message | {"usage": usage}}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {"output_tokens": 40}})
    return write_events(*events, {"type": "message_stop"})


def make_call(body: dict[str, Any] | None = None, **members: Any) -> Call:
    """A call as the surface hands it over."""
    given = {"model": "claude", "messages": [{"role": "user", "content": "hi"}]} | (body or {})
    return Call(endpoint="chat/completions", body=json.dumps(given).encode(), model="claude", **members)


@pytest.fixture
def dialect() -> AnthropicDialect:
    """The dialect, at a fixed time."""
    return AnthropicDialect(now_s=lambda: NOW_S)


@pytest.fixture
def encode(dialect: AnthropicDialect) -> Callable[..., tuple[dict[str, Any], WireRequest]]:
    """Encode a chat request's members; returns what is sent, parsed, and the request."""

    def run(
        body: dict[str, Any], model: str = "claude-sonnet-4-5", **members: Any
    ) -> tuple[dict[str, Any], WireRequest]:
        request = dialect.encode(make_call(body, **members), model)
        return json.loads(request.body), request

    return run


@pytest.fixture
def stream(dialect: AnthropicDialect) -> Callable[..., Outcome]:
    """Read a stream's bytes, whole or in the given pieces."""

    def run(*pieces: bytes, body: dict[str, Any] | None = None) -> Outcome:
        return read_to_end(dialect.open_stream(make_call(body, stream=True)), pieces)

    return run


@pytest.fixture
def say() -> Callable[..., bytes]:
    """Write a message's stream from its blocks."""
    return write_message


@pytest.fixture
def write() -> Callable[..., bytes]:
    """Write events."""
    return write_events


@pytest.fixture
def call() -> Callable[..., Call]:
    """Make a call."""
    return make_call


@pytest.fixture
def golden() -> Callable[[str], bytes]:
    """Read a fixture of the project's own."""
    return lambda name: (GOLDEN / name).read_bytes()
