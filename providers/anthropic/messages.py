"""The conversation, from OpenAI's messages to Anthropic's system blocks and alternating turns.

Rules (https://platform.claude.com/docs/en/api/messages/create and
https://platform.claude.com/docs/en/build-with-claude/thinking, read 2026-11-21):
- system and developer messages, wherever they stand, become the top-level ``system`` in their order;
- consecutive messages of one side become one turn, as Anthropic itself would join them; in a user turn the tool
  results come first, because they must follow the calls at once;
- ``thinking_blocks`` (and ``compaction_blocks``) of an assistant message go back byte for byte, before its text and
  its calls: the signatures hold only for unchanged blocks.
"""

from collections.abc import Callable

import msgspec

from providers.anthropic.content import Block, Text, ToolResult, ToolUse, encode_part, mark
from providers.anthropic.parameters import Fields, is_given, read_raw
from providers.anthropic.tools import tool_id
from providers.errors import Unsupported


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One side's turn."""

    role: str
    content: list[Block]


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of messages."""

    system: list[Block]
    messages: list[Turn]
    # The last assistant turn called tools without showing signed thinking: a budget of thinking is then refused.
    has_unsigned_calls: bool


class _Call(msgspec.Struct, frozen=True):
    name: str
    arguments: str = ""


class _ToolCall(msgspec.Struct, frozen=True):
    id: str
    function: _Call | None = None
    cache_control: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[msgspec.Raw] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Call | None = None
    tool_call_id: str | None = None
    is_error: bool | None = None
    thinking_blocks: list[msgspec.Raw] | None = None
    compaction_blocks: list[msgspec.Raw] | None = None
    reasoning_content: msgspec.Raw = msgspec.Raw()
    cache_control: msgspec.Raw = msgspec.Raw()


class _Thought(msgspec.Struct, frozen=True):
    type: str = ""
    signature: str | None = None


class _Writer:
    """Collects what one conversation becomes."""

    def __init__(self, dropped: list[str]) -> None:
        self.system: list[Block] = []
        self.turns: list[Turn] = []
        self.dropped = dropped
        self.has_unsigned_calls = False
        self._legacy_calls = 0

    def add(self, message: _Message, where: str) -> None:
        """Take the next message; raises Unsupported, naming its member."""
        write = _ROLES.get(message.role)
        if write is None:
            raise Unsupported(f"{where}.role is {message.role!r}; use {', '.join(_ROLES)}", param=f"{where}.role")
        if message.name is not None and message.role not in ("tool", "function"):
            self.dropped.append("messages.name")
        write(self, message, where)

    def instruct(self, message: _Message, where: str) -> None:
        """system, developer."""
        self.system += self._content(message, where)

    def ask(self, message: _Message, where: str) -> None:
        """user."""
        content = self._content(message, where)
        if not content:
            raise Unsupported(f"{where} is empty; Anthropic takes no empty message", param=f"{where}.content")
        self._extend("user", content)

    def reply(self, message: _Message, where: str) -> None:
        """assistant."""
        thoughts = [raw for raw in message.thinking_blocks or [] if self._is_signed(raw, where)]
        if is_given(message.reasoning_content) and not thoughts:
            # Unsigned reasoning cannot be sent back.
            self.dropped.append("messages.reasoning_content")
        blocks: list[Block] = [*(message.compaction_blocks or []), *thoughts, *self._content(message, where)]
        if message.refusal:
            blocks.append(Text(text=message.refusal))
        calls = [self._call(call, f"{where}.tool_calls[{at}]") for at, call in enumerate(message.tool_calls or [])]
        if message.function_call is not None:
            self._legacy_calls += 1
            call = _ToolCall(id=f"function_call_{self._legacy_calls}", function=message.function_call)
            calls.append(self._call(call, f"{where}.function_call"))
        self.has_unsigned_calls = bool(calls) and not thoughts
        self._extend("assistant", [*blocks, *calls])

    def answer(self, message: _Message, where: str) -> None:
        """tool, function."""
        call_id = message.tool_call_id
        if message.role == "function":
            call_id = f"function_call_{self._legacy_calls}"
        if not call_id:
            raise Unsupported(f"{where} answers no call: it has no tool_call_id", param=f"{where}.tool_call_id")
        plain = isinstance(message.content, str)
        result = ToolResult(
            tool_use_id=tool_id(call_id),
            content=message.content if isinstance(message.content, str) else self._content(message, where),
            is_error=bool(message.is_error),
            cache_control=mark(message.cache_control) if plain else None,
        )
        self._extend("user", [result])

    def _content(self, message: _Message, where: str) -> list[Block]:
        cache_control = mark(message.cache_control)
        if message.content is None:
            return []
        if isinstance(message.content, str):
            return [Text(text=message.content, cache_control=cache_control)] if message.content else []
        parts = [encode_part(raw, f"{where}.content[{at}]", self.dropped) for at, raw in enumerate(message.content)]
        blocks = [part for part in parts if part is not None]
        if cache_control is not None and blocks and not isinstance(blocks[-1], msgspec.Raw):
            blocks[-1] = msgspec.structs.replace(blocks[-1], cache_control=cache_control)
        return blocks

    def _is_signed(self, raw: msgspec.Raw, where: str) -> bool:
        thought = read_raw(raw, f"{where}.thinking_blocks", _Thought)
        if thought.type == "redacted_thinking" or thought.signature:
            return True
        # Another provider's thinking, or a cut one: Anthropic would refuse the request for it.
        self.dropped.append("messages.thinking_blocks")
        return False

    def _call(self, call: _ToolCall, where: str) -> ToolUse:
        if call.function is None:
            raise Unsupported(f"{where} is no function call", param=where)
        arguments = call.function.arguments.strip() or "{}"
        param = f"{where}.function.arguments"
        read_raw(msgspec.Raw(arguments.encode()), param, dict[str, msgspec.Raw])
        return ToolUse(
            id=tool_id(call.id),
            name=call.function.name,
            input=msgspec.Raw(arguments.encode()),
            cache_control=mark(call.cache_control),
        )

    def _extend(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if not self.turns or self.turns[-1].role != role:
            self.turns.append(Turn(role=role, content=[]))
        content = self.turns[-1].content
        results = sum(isinstance(block, ToolResult) for block in content)
        for block in blocks:
            if isinstance(block, ToolResult):
                content.insert(results, block)
                results += 1
            else:
                content.append(block)


_ROLES: dict[str, Callable[[_Writer, _Message, str], None]] = {
    "system": _Writer.instruct,
    "developer": _Writer.instruct,
    "user": _Writer.ask,
    "assistant": _Writer.reply,
    "tool": _Writer.answer,
    "function": _Writer.answer,
}


def encode_messages(fields: Fields, dropped: list[str]) -> Conversation:
    """Say the messages; raises Unsupported for what has no words in Anthropic's API."""
    given = read_raw(fields.get("messages", msgspec.Raw(b"[]")), "messages", list[msgspec.Raw])
    writer = _Writer(dropped)
    for at, raw in enumerate(given):
        where = f"messages[{at}]"
        writer.add(read_raw(raw, where, _Message), where)
    if not writer.turns:
        raise Unsupported("messages hold nothing but instructions; Anthropic needs a user's message", param="messages")
    return Conversation(system=writer.system, messages=writer.turns, has_unsigned_calls=writer.has_unsigned_calls)
