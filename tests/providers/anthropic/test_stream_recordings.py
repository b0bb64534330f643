"""Real answers of Anthropic's, where they lie beside the repository: each gives what its golden says."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from providers.anthropic.dialect import AnthropicDialect
from providers.anthropic.reply import FINISH_REASONS
from providers.chat import Usage
from providers.errors import InvalidAnswer, Refused, Truncated
from providers.wire import Call

DATA = Path(__file__).parents[3] / "../shared/data"
CASSETTES = DATA / "cassettes/anthropic/messages"
BAD_INPUTS = DATA / "bad_inputs.jsonl"
Stream = Callable[..., Any]

# Recordings that are no single answer, and what they are.
SPLICED = {"anthropic-messages-2ac79bd2b512": "another message begins inside an open one: broken off, never glued"}
CONCATENATED = {
    "anthropic-messages-887c82718e60": "three answers in a row; the golden: the last one's end, a blend of texts",
    "anthropic-messages-be11e7440096": "fifteen answers in a row; the golden: the last one's end, a blend of calls",
}
# Larger bodies are cut at random instead of byte by byte.
MOST_SINGLE_BYTES = 20_000


def cut(body: bytes, how: str, seed: str) -> Iterator[bytes]:
    """Cut a body as the replaying upstream does."""
    if how == "whole":
        yield body
        return
    sizes = random.Random(seed)  # noqa: S311  cuts must repeat, not be secret
    single = how == "bytes" and len(body) <= MOST_SINGLE_BYTES
    at = 0
    while at < len(body):
        size = 1 if single else sizes.choice((1, 2, 3, 7, 19, 64, 257, 1024))
        yield body[at : at + size]
        at += size


def load(streamed: bool) -> list[dict[str, Any]]:
    """The recordings of one kind, by what the body itself is: some have lost their content-type."""
    items = [json.loads(path.read_text("utf-8")) for path in sorted(CASSETTES.glob("*.json"))]
    return [item for item in items if item["response"]["body"].lstrip().startswith("{") is not streamed]


def compare_content(golden: dict[str, Any], text: str, calls: list[tuple[str, str]]) -> list[str]:
    """Tell whether the text or the tool calls (as JSON values) differ from a golden."""
    wrong = []
    if hashlib.sha256(text.encode()).hexdigest() != golden["text_sha256"]:
        wrong.append(f"text {text[:40]!r}")
    expected = [(call["name"], json.loads(call["args"])) for call in golden["tool_calls"]]
    if expected != [(name, json.loads(arguments)) for name, arguments in calls]:
        wrong.append(f"calls {calls}")
    return wrong


def compare_end(golden: dict[str, Any], finish: str | None, usage: Usage | None) -> list[str]:
    """Tell whether the finish or the usage differ from a golden; compaction and searches alone are anomalies."""
    wrong = []
    if finish != FINISH_REASONS[golden["finish"]]:
        wrong.append(f"finish {finish!r}")
    expected = {name: count or 0 for name, count in golden["usage_norm"].items() if name != "cost_reported"}
    counted = usage and {
        "input_total": usage.total_input_tokens,
        "input_uncached": usage.input_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens + usage.cache_write_1h_tokens,
        "output_total": usage.total_output_tokens,
        "reasoning": usage.reasoning_tokens,
    }
    raw = golden["usage_raw"] or {}
    searches = (raw.get("server_tool_use") or {}).get("web_search_requests")
    has_more = "compaction" in json.dumps(raw) or bool(searches)
    if counted != expected or usage is None or usage.estimated or usage.anomalous is not has_more:
        wrong.append(f"usage {usage}")
    return wrong


def check_stream(stream: Stream, item: dict[str, Any], how: str) -> list[str]:
    """Tell what is wrong with a streamed recording."""
    body, golden = item["response"]["body"].encode(), item["golden"]
    if item["id"] in CONCATENATED:
        body = body[body.rindex(b"event: message_start") :]
    outcome = stream(*cut(body, how, item["id"]))
    if item["id"] in SPLICED:
        return [] if isinstance(outcome.failure, InvalidAnswer) else ["glued"]
    wrong = compare_end(golden, outcome.finish, outcome.usage)
    if item["id"] not in CONCATENATED:
        wrong += compare_content(golden, outcome.text, [(call["name"], call["arguments"]) for call in outcome.calls])
    if (outcome.id, outcome.model, outcome.roles) != (golden["id"], golden["model"], 1):
        wrong.append(f"id, model, roles {outcome.id, outcome.model, outcome.roles}")
    if outcome.failure or not outcome.finished or not outcome.shown_usage:
        wrong.append(f"end {outcome.failure!r}")
    return wrong


def check_reply(dialect: AnthropicDialect, call: Call, item: dict[str, Any]) -> list[str]:
    """Tell what is wrong with a whole recording."""
    response, golden = item["response"], item["golden"]
    headers = [(name.encode(), value.encode()) for name, value in response["headers"].items()]
    try:
        answer = dialect.decode(call, response["status"], headers, response["body"].encode())
    except Refused as error:
        return [] if response["status"] >= 400 and error.type and not error.retryable else [f"refused {error}"]
    completion = json.loads(answer.body)
    choice = completion["choices"][0]
    message = choice["message"]
    calls = [call["function"] for call in message.get("tool_calls", [])]
    wrong = compare_end(golden, choice["finish_reason"], answer.usage)
    wrong += compare_content(golden, message["content"] or "", [(call["name"], call["arguments"]) for call in calls])
    if (completion["id"], completion["model"]) != (golden["id"], golden["model"]):
        wrong.append("id, model")
    return wrong


if CASSETTES.is_dir():

    @pytest.mark.parametrize("how", ["whole", "bytes", "random"])
    def test_every_recorded_stream_gives_its_golden(stream: Stream, how: str) -> None:
        """Text, tool calls, finish and usage, however the bytes are cut."""
        found = {item["id"]: check_stream(stream, item, how) for item in load(streamed=True)}
        assert len(found) > 100
        assert {name: wrong for name, wrong in found.items() if wrong} == {}

    def test_every_recorded_reply_gives_its_golden(dialect: AnthropicDialect, call: Callable[..., Call]) -> None:
        """Text, tool calls, finish and usage; errors are refusals."""
        found = {item["id"]: check_reply(dialect, call(), item) for item in load(streamed=False)}
        assert len(found) > 100
        assert {name: wrong for name, wrong in found.items() if wrong} == {}


def read_script(name: str) -> bytes:
    """The body that a script of the bad inputs sends."""
    lines = BAD_INPUTS.read_text("utf-8").splitlines()
    script = next(item["script"] for item in map(json.loads, lines) if item["id"] == name)
    return "".join(step.get("chunk", "") for step in script).encode()


if BAD_INPUTS.is_file():

    def test_an_overloaded_provider_mid_stream(stream: Stream) -> None:
        """sse-049: the prompt is the provider's count, the completion an estimate, not the placeholder."""
        outcome = stream(read_script("sse-049"))
        assert isinstance(outcome.failure, Refused)
        assert (outcome.text, outcome.delivered) == ("Hel", "Hel")
        assert outcome.usage == Usage(input_tokens=25, estimated=True)

    def test_a_doubled_start(stream: Stream) -> None:
        """sse-050: the input is counted once, and the missing end is told."""
        outcome = stream(read_script("sse-050"))
        assert isinstance(outcome.failure, Truncated)
        assert outcome.usage == Usage(input_tokens=25, estimated=True)

    def test_a_missing_end(stream: Stream) -> None:
        """sse-052: what was said is delivered, and the missing end is told."""
        outcome = stream(read_script("sse-052"))
        assert isinstance(outcome.failure, Truncated)
        assert (outcome.text, outcome.delivered, outcome.usage) == ("Hi", "Hi", None)
