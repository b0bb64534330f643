"""The dialect: a whole request, its headers, and the readers of the answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.anthropic.dialect import AnthropicDialect
from providers.errors import Unsupported
from providers.wire import Call

Encode = Callable[..., Any]
MakeCall = Callable[..., Call]
GOLDEN = Path(__file__).parents[2] / "golden/anthropic"
REQUESTS = sorted(path.name for path in GOLDEN.glob("request_*.json"))


def test_the_smallest_call(dialect: AnthropicDialect, call: MakeCall) -> None:
    """What Anthropic requires is there, and nothing else."""
    request = dialect.encode(call(), "claude-3-haiku-20240307")
    assert request.path == "messages"
    assert request.headers == (("anthropic-version", "2023-06-01"),)
    assert request.dropped == ()
    assert json.loads(request.body) == {
        "model": "claude-3-haiku-20240307",
        "max_tokens": 4_096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


@pytest.mark.parametrize("name", REQUESTS)
def test_a_whole_request_is_said(dialect: AnthropicDialect, name: str) -> None:
    """A chat request and what becomes of it, in full."""
    case = json.loads((GOLDEN / name).read_text("utf-8"))
    call = Call(endpoint="chat/completions", body=json.dumps(case["chat"]).encode(), model="m", **case["call"])
    request = dialect.encode(call, case["target"])
    assert json.loads(request.body) == case["sent"]
    assert dict(request.headers) == case["headers"]
    assert list(request.dropped) == case["dropped"]


@pytest.mark.parametrize(("limit", "sent"), [(None, 64_000), (7, 7), (0, 0)])
def test_max_tokens_is_the_callers_or_the_models(encode: Encode, limit: int | None, sent: int) -> None:
    """Anthropic requires it; the gateway may have lowered it to what a budget leaves."""
    body, _ = encode({"max_tokens": 9, "max_completion_tokens": 9}, max_tokens=limit)
    assert body["max_tokens"] == sent


def test_a_stream_is_asked_for(encode: Encode) -> None:
    """stream_options need no word: Anthropic always reports usage."""
    sent, request = encode({"stream": True, "stream_options": {"include_usage": True}}, stream=True)
    assert sent["stream"] is True
    assert request.dropped == ()


@pytest.mark.parametrize(
    ("stop", "said", "dropped"),
    [("END", ["END"], ()), (["a", "b"], ["a", "b"], ()), ([], None, ()), (["\n", "a"], ["a"], ("stop",))],
)
def test_stops_are_said(encode: Encode, stop: Any, said: Any, dropped: Any) -> None:
    """One or many; white space alone is none to Anthropic."""
    sent, request = encode({"stop": stop})
    assert sent.get("stop_sequences") == said
    assert request.dropped == dropped


@pytest.mark.parametrize(
    ("given", "said", "dropped"),
    [
        ({"user": "u"}, {"user_id": "u"}, ()),
        ({"user": "u", "safety_identifier": "s"}, {"user_id": "s"}, ()),
        ({"user": "u", "metadata": {"user_id": "m"}}, {"user_id": "m"}, ()),
        ({"metadata": {"team": "x"}}, None, ("metadata",)),
        ({"metadata": {}}, None, ()),
    ],
)
def test_the_user_is_said(encode: Encode, given: Any, said: Any, dropped: Any) -> None:
    """Anthropic's metadata hold one member."""
    sent, request = encode(given)
    assert sent.get("metadata") == said
    assert request.dropped == dropped


@pytest.mark.parametrize(
    ("tier", "said", "dropped"),
    [
        ("auto", "auto", ()),
        ("standard_only", "standard_only", ()),
        ("default", "standard_only", ()),
        ("flex", None, ("service_tier",)),
    ],
)
def test_the_service_tier_is_said(encode: Encode, tier: str, said: Any, dropped: Any) -> None:
    """OpenAI's default tier is Anthropic's standard."""
    sent, request = encode({"service_tier": tier})
    assert sent.get("service_tier") == said
    assert request.dropped == dropped


@pytest.mark.parametrize(
    ("given", "betas"),
    [
        ({"betas": ["a-1", "b-2"]}, "a-1,b-2"),
        ({"mcp_servers": []}, "mcp-client-2025-11-20"),
        ({"context_management": {"edits": []}, "betas": ["x"]}, "x,context-management-2025-06-27"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file_1"}}]}]},
            "files-api-2025-04-14",
        ),
    ],
)
def test_betas_are_a_header(encode: Encode, given: Any, betas: str) -> None:
    """The caller's own, and what a member needs."""
    _, request = encode(given)
    assert dict(request.headers)["anthropic-beta"] == betas


@pytest.mark.parametrize("beta", ["a\r\nx-api-key: mine", "a,b", "", "a b", "x" * 101])
def test_a_beta_that_is_no_name_is_refused(encode: Encode, beta: str) -> None:
    """It becomes a header, which nobody may end."""
    with pytest.raises(Unsupported) as caught:
        encode({"betas": [beta]})
    assert caught.value.param == "betas"


def test_compaction_is_refused(encode: Encode) -> None:
    """Its tokens are billed beside the usage; other edits pass."""
    with pytest.raises(Unsupported) as caught:
        encode({"context_management": {"edits": [{"type": "compact_20260112"}]}})
    assert caught.value.param == "context_management"
    edits = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    assert encode({"context_management": edits})[0]["context_management"] == edits


def test_more_than_one_choice_is_refused(encode: Encode) -> None:
    """Anthropic answers with one."""
    with pytest.raises(Unsupported) as caught:
        encode({}, n=2)
    assert caught.value.param == "n"


@pytest.mark.parametrize("endpoint", ["embeddings", "completions"])
def test_other_endpoints_are_refused(dialect: AnthropicDialect, endpoint: str) -> None:
    """Anthropic has neither embeddings nor plain completions."""
    assert endpoint not in dialect.endpoints
    with pytest.raises(Unsupported, match=endpoint):
        dialect.encode(Call(endpoint=endpoint, body=b"{}", model="claude"), "claude")


def test_a_stream_is_read_with_the_clock_of_the_dialect(dialect: AnthropicDialect, call: MakeCall) -> None:
    """Each stream gets a reader of its own."""
    first, second = dialect.open_stream(call()), dialect.open_stream(call())
    assert first is not second
    assert (first.usage, first.finished, first.failure, first.held, first.usage_chunk, first.events) == (
        None,
        False,
        None,
        None,
        None,
        0,
    )


def test_a_reply_goes_back_as_it_came(
    dialect: AnthropicDialect, call: MakeCall, golden: Callable[[str], bytes]
) -> None:
    """A client that appends our message to its history sends Anthropic the very blocks: signatures and calls."""
    reply = json.loads(dialect.decode(call(), 200, [], golden("everything.json")).body)["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": use["id"], "content": "ok"} for use in reply["tool_calls"]]
    request = dialect.encode(
        call({"messages": [{"role": "user", "content": "hi"}, reply, *results]}), "claude-opus-4-6"
    )
    kept = ("thinking", "redacted_thinking", "compaction", "tool_use")
    blocks = [block for block in json.loads(golden("everything.json"))["content"] if block["type"] in kept]
    sent = json.loads(request.body)["messages"][1]["content"]
    assert [block for block in sent if block["type"] in kept] == [blocks[2], *blocks[:2], *blocks[3:]]
    assert request.dropped == ()
