"""The content blocks of a stream, said as chunks: what begins a block, what a delta adds to it, what its end says.

The machine is three tables (BEGINNINGS, DELTAS, ENDINGS) over the kinds that say something to a client of OpenAI's
API. Other kinds are passed over: server tools and their results are the provider's own affair, and Anthropic adds new
kinds within a version (https://platform.claude.com/docs/en/build-with-claude/streaming, read 2026-11-21).

Failure behavior: a block that is none, and a tool's input without its tool, raise InvalidAnswer.
"""

from collections.abc import Callable

import msgspec

from providers.anthropic.parameters import UNREADABLE, is_given
from providers.anthropic.reply import Annotation, ContentBlock, annotate, arguments, read_block
from providers.delivered import Delivered
from providers.errors import InvalidAnswer

_TAIL = b',"finish_reason":null}]}\n\n'
_encode = msgspec.json.Encoder().encode


class Delta(msgspec.Struct, frozen=True):
    """The members of all deltas of a block that the dialect reads."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: msgspec.Raw = msgspec.Raw()
    content: str | None = None
    encrypted_content: str | None = None


class Block:
    """A content block while it is open."""

    __slots__ = ("citations", "has_input", "input", "kind", "pieces", "seal", "start", "tool")

    def __init__(self, kind: str, *, tool: int, start: int) -> None:
        self.kind = kind
        # The index among the tool calls of OpenAI's message.
        self.tool = tool
        # Where its text begins in the content, in characters.
        self.start = start
        # Thinking or summary so far, for blocks that are also sent whole; ``seal`` is their opaque part.
        self.pieces: list[str] = []
        self.seal = ""
        self.citations: list[msgspec.Raw] = []
        # A tool's input as the block's start gave it, used where no delta brings one.
        self.input = "{}"
        self.has_input = False


class Chunks:
    """Writes chunks, and knows what was said so far."""

    def __init__(self, *, model: str, created_s: int, is_legacy: bool) -> None:
        self.delivered = Delivered()
        self.is_begun = False
        self._blocks: dict[int, Block] = {}
        self._is_legacy = is_legacy
        self._created_s = created_s
        self._tools = 0
        self._chars = 0
        self._head = self._write_head(f"chatcmpl-{created_s}", model)

    def begin(self, message_id: str, model: str) -> bytes:
        """Write the first chunk, which has the role; later calls only change the id."""
        if message_id:
            self._head = self._write_head(message_id, model)
        if self.is_begun:
            return b""
        self.is_begun = True
        return self._chunk(b'{"role":"assistant","content":""}')

    def open(self, index: int, raw: msgspec.Raw) -> bytes:
        """A block begins, maybe with content."""
        out = self.close(index)
        try:
            given = read_block(raw)
        except UNREADABLE as error:
            raise InvalidAnswer(f"content block {index} of the provider's stream cannot be read: {error}") from None
        block = self._blocks[index] = Block(given.type, tool=self._tools, start=self._chars)
        begin = _BEGINNINGS.get(given.type)
        return out if begin is None else out + begin(self, block, given, raw)

    def add(self, index: int, delta: Delta) -> bytes:
        """A delta comes in, maybe to a block whose start was lost."""
        add = _DELTAS.get(delta.type)
        if add is None:
            return b""
        block = self._blocks.get(index)
        if block is None:
            # Text and thinking explain themselves; a tool's input without its name and id is lost.
            if delta.type == "input_json_delta":
                raise InvalidAnswer(f"the provider sent input for tool block {index}, which never began")
            kind = "thinking" if delta.type in ("thinking_delta", "signature_delta") else "text"
            block = self._blocks[index] = Block(kind, tool=self._tools, start=self._chars)
        return add(self, block, delta)

    def close(self, index: int) -> bytes:
        """A block ends."""
        block = self._blocks.pop(index, None)
        end = None if block is None else _ENDINGS.get(block.kind)
        return b"" if block is None or end is None else end(self, block)

    def close_all(self) -> bytes:
        """Every block ends."""
        return b"".join([self.close(index) for index in list(self._blocks)])

    def finish(self, delta: bytes, finish_reason: str, native: str | None) -> bytes:
        """The JSON of the chunk with the finish_reason."""
        reasons = b',"finish_reason":' + _encode(finish_reason) + b',"native_finish_reason":' + _encode(native)
        return b"".join([self._head, b',"choices":[{"index":0,"delta":', delta, reasons, b"}]}"])

    def count(self, usage: msgspec.Struct) -> bytes:
        """The JSON of the usage chunk."""
        return b"".join([self._head, b',"choices":[],"usage":', _encode(usage), b"}"])

    def text(self, block: Block, text: str) -> bytes:
        """Say a piece of content."""
        self.delivered.add([text])
        self._chars += len(text)
        return self._chunk(b'{"content":' + _encode(text) + b"}") if text else b""

    def thinking(self, block: Block, thinking: str) -> bytes:
        """Say a piece of reasoning; the block comes whole, with its signature, when it ends."""
        self.delivered.add([thinking])
        block.pieces.append(thinking)
        return self._chunk(b'{"reasoning_content":' + _encode(thinking) + b"}") if thinking else b""

    def whole(self, member: str, blocks: bytes) -> bytes:
        """Say a block that must come back unchanged."""
        return self._chunk(b'{"' + member.encode() + b'":[' + blocks + b"]}")

    def tool(self, block: Block, name: str, call_id: str) -> bytes:
        """Say that a call of a tool begins."""
        self._tools += 1
        self.delivered.add(["\n", name, "\n"])
        return self._call(
            block,
            _ToolDelta(index=block.tool, id=call_id, type="function", function=_Function(name=name, arguments="")),
        )

    def input(self, block: Block, piece: str) -> bytes:
        """Say a piece of a tool's input; that of a server tool counts as said but is not shown."""
        self.delivered.add([piece])
        block.has_input = True
        if block.kind != "tool_use":
            return b""
        return self._call(block, _ToolDelta(index=block.tool, function=_Function(arguments=piece)))

    def cite(self, block: Block) -> bytes:
        """Say what a text rests on."""
        annotations = annotate(block.citations, block.start, self._chars)
        return self._chunk(_encode(_Cited(annotations=annotations, citations=block.citations)))

    def _call(self, block: Block, call: "_ToolDelta") -> bytes:
        if not self._is_legacy:
            return self._chunk(b'{"tool_calls":[' + _encode(call) + b"]}")
        # A function_call is one: the request allowed no more.
        return self._chunk(b'{"function_call":' + _encode(call.function) + b"}") if block.tool == 0 else b""

    def _chunk(self, delta: bytes) -> bytes:
        first = b"" if self.is_begun else self.begin("", "")
        return b"".join([first, b"data: ", self._head, b',"choices":[{"index":0,"delta":', delta, _TAIL])

    def _write_head(self, message_id: str, model: str) -> bytes:
        head = _Head(id=message_id, created=self._created_s, model=model)
        return _encode(head)[:-1]


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str


class _Function(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str | None = None
    arguments: str


class _ToolDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    index: int
    id: str | None = None
    type: str | None = None
    function: _Function


class _Thinking(msgspec.Struct, frozen=True, kw_only=True, tag="thinking", tag_field="type"):
    thinking: str
    signature: str


class _Compaction(msgspec.Struct, frozen=True, kw_only=True, tag="compaction", tag_field="type"):
    content: str
    encrypted_content: str | msgspec.UnsetType = msgspec.UNSET


class _Cited(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    annotations: list[Annotation] = []
    citations: list[msgspec.Raw] = []


def _begin_text(chunks: Chunks, block: Block, given: ContentBlock, raw: msgspec.Raw) -> bytes:
    block.citations += given.citations or []
    return chunks.text(block, given.text or "")


def _begin_thinking(chunks: Chunks, block: Block, given: ContentBlock, raw: msgspec.Raw) -> bytes:
    block.seal = given.signature or ""
    return chunks.thinking(block, given.thinking or "")


def _begin_redacted(chunks: Chunks, block: Block, given: ContentBlock, raw: msgspec.Raw) -> bytes:
    return chunks.whole("thinking_blocks", bytes(raw))


def _begin_tool(chunks: Chunks, block: Block, given: ContentBlock, raw: msgspec.Raw) -> bytes:
    block.input = arguments(given)
    return chunks.tool(block, given.name or "", given.id or "")


def _add_text(chunks: Chunks, block: Block, delta: Delta) -> bytes:
    return chunks.text(block, delta.text or "")


def _add_thinking(chunks: Chunks, block: Block, delta: Delta) -> bytes:
    return chunks.thinking(block, delta.thinking or "")


def _add_seal(chunks: Chunks, block: Block, delta: Delta) -> bytes:
    block.seal += delta.signature or ""
    return b""


def _add_input(chunks: Chunks, block: Block, delta: Delta) -> bytes:
    return chunks.input(block, delta.partial_json) if delta.partial_json else b""


def _add_citation(chunks: Chunks, block: Block, delta: Delta) -> bytes:
    if is_given(delta.citation):
        block.citations.append(delta.citation)
    return b""


def _add_compaction(chunks: Chunks, block: Block, delta: Delta) -> bytes:
    summary = delta.content or ""
    chunks.delivered.add([summary])
    block.pieces.append(summary)
    block.seal += delta.encrypted_content or ""
    return b""


def _end_text(chunks: Chunks, block: Block) -> bytes:
    return chunks.cite(block) if block.citations else b""


def _end_thinking(chunks: Chunks, block: Block) -> bytes:
    if not block.seal:
        return b""
    return chunks.whole("thinking_blocks", _encode(_Thinking(thinking="".join(block.pieces), signature=block.seal)))


def _end_tool(chunks: Chunks, block: Block) -> bytes:
    return b"" if block.has_input else chunks.input(block, block.input)


def _end_compaction(chunks: Chunks, block: Block) -> bytes:
    seal = block.seal or msgspec.UNSET
    return chunks.whole(
        "compaction_blocks", _encode(_Compaction(content="".join(block.pieces), encrypted_content=seal))
    )


_BEGINNINGS: dict[str, Callable[[Chunks, Block, ContentBlock, msgspec.Raw], bytes]] = {
    "text": _begin_text,
    "thinking": _begin_thinking,
    "redacted_thinking": _begin_redacted,
    "tool_use": _begin_tool,
}
_DELTAS: dict[str, Callable[[Chunks, Block, Delta], bytes]] = {
    "text_delta": _add_text,
    "thinking_delta": _add_thinking,
    "signature_delta": _add_seal,
    "input_json_delta": _add_input,
    "citations_delta": _add_citation,
    "compaction_delta": _add_compaction,
}
_ENDINGS: dict[str, Callable[[Chunks, Block], bytes]] = {
    "text": _end_text,
    "thinking": _end_thinking,
    "tool_use": _end_tool,
    "compaction": _end_compaction,
}


def is_known_delta(kind: str) -> bool:
    """Whether a delta of this type says something."""
    return kind in _DELTAS
