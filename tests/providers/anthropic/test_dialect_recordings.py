"""Real requests, where they lie beside the repository: what the dialect makes of them is what Anthropic documents."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from providers.anthropic.dialect import AnthropicDialect
from providers.errors import Unsupported
from providers.wire import Call

CASSETTES = Path(__file__).parents[3] / "../shared/data/cassettes"
# Members of https://platform.claude.com/docs/en/api/messages/create at version 2023-06-01 (read 2026-11-21).
CACHED = {"type", "cache_control"}
TOP = {
    *("model", "max_tokens", "messages", "system", "tools", "tool_choice", "stream", "stop_sequences", "metadata"),
    *("temperature", "top_p", "top_k", "thinking", "output_config", "service_tier", "context_management"),
    *("cache_control", "container", "mcp_servers", "diagnostics"),
}
BLOCKS = {
    "text": CACHED | {"text", "citations"},
    "image": CACHED | {"source"},
    "document": CACHED | {"source", "title", "context", "citations"},
    "tool_use": CACHED | {"id", "name", "input", "caller"},
    "tool_result": CACHED | {"tool_use_id", "content", "is_error"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
    "server_tool_use": CACHED | {"id", "name", "input", "caller"},
    "web_search_tool_result": CACHED | {"tool_use_id", "content", "caller"},
    "web_fetch_tool_result": CACHED | {"tool_use_id", "content", "caller"},
    "bash_code_execution_tool_result": CACHED | {"tool_use_id", "content"},
    "tool_reference": CACHED | {"tool_name"},
    "container_upload": CACHED | {"file_id"},
}
SOURCES = {
    "base64": {"type", "media_type", "data"},
    "url": {"type", "url"},
    "file": {"type", "file_id"},
    "text": {"type", "media_type", "data"},
}
TOOL = CACHED | {"name", "description", "input_schema", "strict"}
TOOL |= {"defer_loading", "allowed_callers", "eager_input_streaming", "input_examples"}
CHOICE = {"type", "name", "disable_parallel_tool_use"}


def find_strangers(request: dict[str, Any]) -> Iterator[str]:
    """Yield the members of a Messages request that no document knows."""
    yield from request.keys() - TOP
    system = request.get("system") or []
    contents = [turn["content"] for turn in request["messages"]] + [system]
    for content in contents:
        yield from find_strange_blocks(content)
    for tool in request.get("tools") or []:
        if "input_schema" in tool:
            yield from tool.keys() - TOOL
    yield from (request.get("tool_choice") or {}).keys() - CHOICE
    yield from (request.get("metadata") or {}).keys() - {"user_id"}
    yield from (request.get("thinking") or {}).keys() - {"type", "budget_tokens", "display"}
    yield from (request.get("output_config") or {}).keys() - {"effort", "format"}


def find_strange_blocks(content: Any) -> Iterator[str]:
    """Yield the strange members of a content's blocks."""
    for block in content if isinstance(content, list) else []:
        yield from block.keys() - BLOCKS[block["type"]]
        if "source" in block:
            yield from block["source"].keys() - SOURCES[block["source"]["type"]]
        if block["type"] == "tool_result":
            yield from find_strange_blocks(block.get("content"))


def load(pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The recorded requests that have messages, with their ids."""
    for path in sorted(CASSETTES.glob(pattern)):
        item = json.loads(path.read_text("utf-8"))
        body = (item.get("request") or {}).get("body")
        if not isinstance(body, dict):
            continue
        messages = body.get("messages")
        if isinstance(messages, list) and all(isinstance(message, dict) for message in messages):
            yield item["id"], body


def encode(dialect: AnthropicDialect, body: dict[str, Any], model: str) -> dict[str, Any]:
    """Encode a chat request as the gateway would."""
    call = Call(
        endpoint="chat/completions",
        body=json.dumps(body).encode(),
        model="m",
        stream=body.get("stream") is True,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
    )
    sent: dict[str, Any] = json.loads(dialect.encode(call, model).body)
    return sent


# The way back, for what both APIs can say: Anthropic's request as a client of OpenAI's API would put it.
def to_part(block: dict[str, Any]) -> dict[str, Any]:
    """Say an image in OpenAI's words; other blocks are the same, or Anthropic's own."""
    if block["type"] != "image":
        return block
    source = block["source"]
    url = source.get("url") or f"data:{source['media_type']};base64,{source['data']}"
    return {"type": "image_url", "image_url": {"url": url}}


def to_messages(turn: dict[str, Any]) -> list[dict[str, Any]]:
    """Say a turn as messages: results first, then the rest."""
    blocks = to_blocks(turn["content"])
    results = [
        {"role": "tool", "tool_call_id": block["tool_use_id"], "is_error": block.get("is_error")}
        | {"content": block["content"], "cache_control": block.get("cache_control")}
        for block in blocks
        if block["type"] == "tool_result"
    ]
    calls = [
        {"id": block["id"], "type": "function", "cache_control": block.get("cache_control")}
        | {"function": {"name": block["name"], "arguments": json.dumps(block["input"])}}
        for block in blocks
        if block["type"] == "tool_use"
    ]
    thoughts = [block for block in blocks if block["type"].endswith("thinking")]
    kinds = ("tool_result", "tool_use", "thinking", "redacted_thinking")
    rest = [to_part(block) for block in blocks if block["type"] not in kinds]
    message = {"role": turn["role"], "content": rest or None, "tool_calls": calls or None, "thinking_blocks": thoughts}
    return results + ([message] if rest or calls or thoughts else [])


def to_blocks(content: Any) -> list[dict[str, Any]]:
    """A content as blocks."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def to_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Say a client tool as a function."""
    function = {name: tool.get(name) for name in ("name", "description", "strict")}
    beside = {name: tool[name] for name in ("cache_control", "defer_loading", "allowed_callers") if name in tool}
    return {"type": "function", "function": function | {"parameters": tool["input_schema"]}} | beside


def to_chat(body: dict[str, Any]) -> dict[str, Any]:
    """Say a Messages request as a chat request."""
    system = to_blocks(body.get("system") or [])
    messages = [message for turn in body["messages"] for message in to_messages(turn)]
    tools = [to_tool(tool) if "input_schema" in tool else tool for tool in body.get("tools") or []]
    same = ("stream", "max_tokens", "thinking", "tool_choice", "cache_control", "output_config", "container")
    return {
        "messages": ([{"role": "system", "content": system}] if system else []) + messages,
        "tools": tools,
        **{name: body[name] for name in same if name in body},
    }


def normalise(body: dict[str, Any]) -> dict[str, Any]:
    """Bring a request to the form that two equal ones share: contents as blocks, sides joined, defaults left out."""
    turns: list[dict[str, Any]] = []
    for turn in body["messages"]:
        if turns and turns[-1]["role"] == turn["role"]:
            turns[-1]["content"] += to_blocks(turn["content"])
        else:
            turns.append({"role": turn["role"], "content": list(to_blocks(turn["content"]))})
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        for block in turn["content"]:
            for name in ("citations", "is_error"):
                if not block.get(name):
                    block.pop(name, None)
    defaults = (None, False)
    tools = [{name: value for name, value in tool.items() if value not in defaults} for tool in body.get("tools") or []]
    left_out = {"temperature", "stream", "system", "output_format", "context_management"}
    rest = {name: value for name, value in body.items() if name not in left_out and value not in (None, [])}
    system = to_blocks(body.get("system") or [])
    return rest | {"messages": turns, "tools": tools, "system": system}


def is_common(body: dict[str, Any]) -> bool:
    """Tell whether both APIs can say a request: in a chat message thinking comes first and calls come last."""
    ranks = {
        "tool_result": 0,
        "thinking": 1,
        "redacted_thinking": 1,
        "text": 2,
        "image": 2,
        "document": 2,
        "tool_use": 3,
    }
    for turn in body["messages"]:
        found = [ranks.get(block["type"], -1) for block in to_blocks(turn["content"])]
        if turn["role"] == "system" or -1 in found or found != sorted(found):
            return False
    return True


if CASSETTES.is_dir():

    def test_recorded_requests_know_no_more_than_the_table() -> None:
        """The table of documented members is no narrower than what Anthropic was really sent (two betas aside)."""
        found = {
            name: set(find_strangers(body)) - {"output_format"} for name, body in load("anthropic/messages/*.json")
        }
        assert len(found) > 200
        assert {name: strangers for name, strangers in found.items() if strangers} == {}

    def test_no_chat_request_becomes_one_with_unknown_members(dialect: AnthropicDialect) -> None:
        """Whatever was really sent to OpenAI-like providers becomes documented members, or the caller's 400."""
        models = ("claude-3-haiku-20240307", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5-5")
        strangers: dict[str, set[str]] = {}
        said = 0
        for folder in ("openai", "groq", "openrouter"):
            for at, (name, body) in enumerate(load(f"{folder}/chat/*.json")):
                try:
                    strangers[name] = set(find_strangers(encode(dialect, body, models[at % len(models)])))
                    said += 1
                except Unsupported as error:
                    assert error.param, name
        assert said > 250
        assert {name: found for name, found in strangers.items() if found} == {}

    def test_a_request_in_openais_words_becomes_the_one_that_was_recorded(dialect: AnthropicDialect) -> None:
        """There and back is the same request: turns, tools, thinking, cache_control, limits."""
        compared = 0
        for name, body in load("anthropic/messages/*.json"):
            if not is_common(body):
                continue
            sent = encode(dialect, to_chat(body), body["model"])
            assert normalise(sent) == normalise(body), name
            compared += 1
        assert compared > 150
