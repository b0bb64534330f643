"""What a client of the gateway heard, added up as clients do: of a whole answer and of a stream."""

import json
from typing import Any

import msgspec

FIGURES = tuple(
    prefix + separator.join(words)
    for prefix, separator in (("x-WatchLLM-", "-"), ("x_WatchLLM_", "_"))
    for words in (("cached",), ("cost", "usd"), ("latency", "ms"))
)


class Heard(msgspec.Struct, kw_only=True):
    """An answer: of its first choice what was said, called and how it ended, and what stood around it."""

    status: int
    headers: dict[str, str]
    body: bytes
    # The data of every event of a stream, [DONE] apart.
    events: list[bytes] = []
    is_done: bool = False
    # Blocks of a stream that are neither data of one line nor a comment.
    strange: list[bytes] = []
    text: str = ""
    calls: dict[int, tuple[str, str]] = {}
    finish: str | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    # The members that the gateway added: to the body, or to the last chunk with a finish_reason.
    figures: dict[str, Any] = {}
    # Chunks without a choice that are not the usage chunk.
    without_choice: int = 0


def hear(status: int, headers: dict[str, str], body: bytes) -> Heard:
    """Read an answer off the wire."""
    heard = Heard(status=status, headers=headers, body=body)
    if not headers.get("content-type", "").startswith("text/event-stream"):
        add_whole(heard, json.loads(body))
        return heard
    for block in body.removesuffix(b"\n\n").split(b"\n\n"):
        if block == b"data: [DONE]":
            heard.is_done = True
        elif heard.is_done or not block.startswith(b"data: ") or b"\n" in block:
            heard.strange.append(block)
        else:
            heard.events.append(block[6:])
            add_chunk(heard, json.loads(block[6:]))
    return heard


def add_whole(heard: Heard, value: dict[str, Any]) -> None:
    """Note what a whole answer says."""
    heard.error = value.get("error")
    heard.usage = value.get("usage")
    heard.figures = {name: value[name] for name in FIGURES if name in value}
    for choice in value.get("choices") or ():
        _add(heard, choice, choice.get("message"))


def add_chunk(heard: Heard, chunk: dict[str, Any]) -> None:
    """Note what a chunk of a stream says."""
    if chunk.get("error"):
        heard.error = chunk["error"]
        return
    heard.usage = chunk.get("usage") or heard.usage
    choices = chunk.get("choices")
    heard.without_choice += not choices and not chunk.get("usage")
    for choice in choices or ():
        _add(heard, choice, choice.get("delta"))
        if choice.get("finish_reason"):
            heard.figures = {name: chunk[name] for name in FIGURES if name in chunk}


def _add(heard: Heard, choice: dict[str, Any], said: dict[str, Any] | None) -> None:
    if choice.get("index", 0) != 0:
        return
    said = said or {}
    heard.text += text_of(said.get("content")) or choice.get("text") or ""
    heard.finish = choice.get("finish_reason") or heard.finish
    for position, call in enumerate(said.get("tool_calls") or ()):
        name, arguments = heard.calls.get(call.get("index", position), ("", ""))
        function = call.get("function") or {}
        name, arguments = name + (function.get("name") or ""), arguments + (function.get("arguments") or "")
        heard.calls[call.get("index", position)] = (name, arguments)


def text_of(content: Any) -> str:
    """A content's text, be it text or parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content or ""
