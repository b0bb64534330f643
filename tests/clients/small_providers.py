"""The four providers in small: each answers in its own documented shape what the request asks for.

The last message decides: "think" gives reasoning, "both" two parallel tool calls. Tools are called until their results
are there, and a JSON schema is answered with JSON. Shapes: https://platform.openai.com/docs/api-reference/chat,
https://platform.claude.com/docs/en/api/messages, https://console.groq.com/docs/reasoning and
https://openrouter.ai/docs/use-cases/reasoning-tokens (2026-11-21).
"""

import asyncio
import base64
import json
import re
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from running import STREAM_HEAD, Request, Upstream, framed, json_reply

TEXT = "Hello! How can I help you today?"
THOUGHT = "The user greets me."
STRUCTURED = '{"city":"Paris","celsius":21}'
ARGUMENTS = '{"city":"Paris"}'
VECTOR = [0.25, -0.5, 1.0]
# What callers ask for, by provider.
MODELS = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "groq": "llama-3.3-70b-versatile",
    "openrouter": "openrouter/mistralai/mistral-large",
}
Json = dict[str, Any]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider has to say."""

    text: str = ""
    thought: str = ""
    # Ids of the calls of the first tool.
    calls: tuple[str, ...] = ()
    tool: str = ""

    @property
    def finish(self) -> str:
        """OpenAI's word for the end."""
        return "tool_calls" if self.calls else "stop"


def config(providers: Upstream) -> str:
    """A configuration in which all four are this upstream."""
    return "".join(
        f'[providers.{name}]\nbase_url = "http://127.0.0.1:{providers.port}/{name}/v1"\napi_key = "sk-{name}"\n'
        for name in MODELS
    )


async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
    """Answer as the provider whose name begins the path."""
    _, name, _, endpoint = request.path.split("/", 3)
    body = request.json()
    if endpoint == "embeddings":
        writer.write(json_reply(embeddings(body)))
    elif body.get("stream"):
        events = STREAMS.get(endpoint, chat_events)(name, body)
        writer.write(STREAM_HEAD + b"".join(framed(event) for event in events) + b"0\r\n\r\n")
    else:
        writer.write(json_reply(WHOLES.get(endpoint, chat)(name, body)))


def say(body: Json) -> Said:
    """What the request's last message asks for."""
    last = body["messages"][-1]
    asked = json.dumps(last.get("content"))
    has_result = last["role"] == "tool" or "tool_result" in asked
    if body.get("tools") and not has_result:
        tool = body["tools"][0]
        calls = ("call_1", "call_2") if "both" in asked else ("call_1",)
        return Said(calls=calls, tool=tool.get("name") or tool["function"]["name"])
    if (body.get("response_format") or {}).get("type") == "json_schema" or body.get("output_config"):
        return Said(text=STRUCTURED)
    return Said(text=TEXT, thought=THOUGHT if "think" in asked else "")


def chat(name: str, body: Json) -> Json:
    """OpenAI's chat completion."""
    said = say(body)
    message: Json = {"role": "assistant", "content": said.text or None}
    if said.thought and name != "openai":
        message["reasoning"] = said.thought
    if said.calls:
        message["tool_calls"] = [call(said, at) for at in range(len(said.calls))]
    choice = {"index": 0, "message": message, "finish_reason": said.finish}
    return frame("chat.completion", body) | {"choices": [choice], "usage": usage(said)}


def chat_events(name: str, body: Json) -> Iterator[bytes]:
    """OpenAI's chat completion in chunks."""
    said = say(body)
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    if said.thought and name != "openai":
        deltas.append({"reasoning": said.thought})
    deltas += [{"content": word} for word in words(said.text)]
    for at in range(len(said.calls)):
        whole = call(said, at)
        opening = whole | {"function": whole["function"] | {"arguments": ""}}
        deltas.append({"tool_calls": [opening | {"index": at}]})
        deltas += [
            {"tool_calls": [{"index": at, "function": {"arguments": part}}]} for part in (ARGUMENTS[:5], ARGUMENTS[5:])
        ]
    ended: list[tuple[Json, str | None]] = [*((delta, None) for delta in deltas), ({}, said.finish)]
    head = frame("chat.completion.chunk", body)
    for delta, finish in ended:
        yield event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield event(head | {"choices": [], "usage": usage(said)})
    yield b"data: [DONE]\n\n"


def completion(_: str, body: Json) -> Json:
    """OpenAI's legacy completion."""
    choice = {"text": " there was a kingdom...", "index": 0, "logprobs": None, "finish_reason": "stop"}
    return frame("text_completion", body) | {"choices": [choice], "usage": usage(Said())}


def completion_events(_: str, body: Json) -> Iterator[bytes]:
    """OpenAI's legacy completion in chunks."""
    head = frame("text_completion", body)
    for text, finish in ((" there was", None), (" a kingdom...", None), ("", "stop")):
        yield event(head | {"choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish}]})
    yield b"data: [DONE]\n\n"


def message(_: str, body: Json) -> Json:
    """Anthropic's message."""
    said = say(body)
    blocks = list(content_blocks(said))
    stop = "tool_use" if said.calls else "end_turn"
    return message_head(body) | {"content": blocks, "stop_reason": stop, "usage": message_usage()}


def message_events(_: str, body: Json) -> Iterator[bytes]:
    """Anthropic's message as a stream."""
    said = say(body)
    start = message_head(body) | {"content": [], "stop_reason": None, "usage": message_usage() | {"output_tokens": 1}}
    yield named_event({"type": "message_start", "message": start})
    for index, block in enumerate(content_blocks(said)):
        opening, deltas = PIECES[block["type"]](block)
        yield named_event({"type": "content_block_start", "index": index, "content_block": opening})
        for delta in deltas:
            yield named_event({"type": "content_block_delta", "index": index, "delta": delta})
        yield named_event({"type": "content_block_stop", "index": index})
    stop = "tool_use" if said.calls else "end_turn"
    yield named_event({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 10}})
    yield named_event({"type": "message_stop"})


def content_blocks(said: Said) -> Iterator[Json]:
    """What is said, as Anthropic's blocks."""
    if said.thought:
        yield {"type": "thinking", "thinking": said.thought, "signature": "c2ln"}
    if said.text:
        yield {"type": "text", "text": said.text}
    for call_id in said.calls:
        yield {"type": "tool_use", "id": call_id, "name": said.tool, "input": json.loads(ARGUMENTS)}


def _thinking_pieces(block: Json) -> tuple[Json, list[Json]]:
    thought = {"type": "thinking_delta", "thinking": block["thinking"]}
    seal = {"type": "signature_delta", "signature": block["signature"]}
    return {"type": "thinking", "thinking": "", "signature": ""}, [thought, seal]


def _text_pieces(block: Json) -> tuple[Json, list[Json]]:
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in words(block["text"])]


def _tool_pieces(block: Json) -> tuple[Json, list[Json]]:
    parts = [{"type": "input_json_delta", "partial_json": part} for part in (ARGUMENTS[:5], ARGUMENTS[5:])]
    return block | {"input": {}}, parts


PIECES = {"thinking": _thinking_pieces, "text": _text_pieces, "tool_use": _tool_pieces}
WHOLES = {"completions": completion, "messages": message}
STREAMS = {"completions": completion_events, "messages": message_events}


def message_head(body: Json) -> Json:
    """What stands around a message of Anthropic's."""
    head = {"id": "msg_01", "type": "message", "role": "assistant", "stop_sequence": None}
    return head | {"model": body["model"]}


def message_usage() -> Json:
    """The same 15 and 10 tokens as everywhere, two of them read from the cache."""
    return {"input_tokens": 13, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 0, "output_tokens": 10}


def frame(kind: str, body: Json) -> Json:
    """What stands around OpenAI's choices."""
    return {"id": "chatcmpl-xyz123", "object": kind, "created": 1234567890, "model": body["model"]}


def usage(said: Said) -> Json:
    """15 tokens in, 10 out, some of them thought."""
    made = {"completion_tokens_details": {"reasoning_tokens": 4}} if said.thought else {}
    return {"prompt_tokens": 15, "completion_tokens": 10, "total_tokens": 25} | made


def call(said: Said, at: int) -> Json:
    """One of OpenAI's tool calls."""
    return {"id": said.calls[at], "type": "function", "function": {"name": said.tool, "arguments": ARGUMENTS}}


def words(text: str) -> list[str]:
    """A text in pieces that add up to it."""
    return re.findall(r"\S+\s*", text)


def event(value: Json) -> bytes:
    """One event of OpenAI's."""
    return f"data: {json.dumps(value)}\n\n".encode()


def named_event(value: Json) -> bytes:
    """One event of Anthropic's."""
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


def embeddings(body: Json) -> Json:
    """The same vector for every input, as floats or base64."""
    count = len(body["input"]) if isinstance(body["input"], list) else 1
    packed = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
    vector: Any = packed if body.get("encoding_format") == "base64" else VECTOR
    data = [{"object": "embedding", "index": at, "embedding": vector} for at in range(count)]
    usage_of_input = {"prompt_tokens": 8 * count, "total_tokens": 8 * count}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage_of_input}
