"""A whole answer of the Messages API, said as a chat.completion; and Anthropic's errors.

Failure behavior: a status of 400 and more, and an error object inside a success, raise Refused; anything that is not
a message (HTML, half a JSON, another shape, nothing) raises InvalidAnswer.
"""

from typing import Any, cast

import msgspec

from providers import splice
from providers.anthropic.parameters import UNREADABLE, is_given, read_fields
from providers.anthropic.usage import OpenAiUsage, read_figures, to_openai, to_usage
from providers.chat import Answer, Usage, is_counted
from providers.errors import InvalidAnswer, Refused, Unsupported
from providers.retry_after import parse_retry_after
from providers.wire import Call, Headers

# https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons (read 2026-11-21). An unknown or missing
# reason is "stop": the message is whole, and native_finish_reason says what was meant.
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    # A server tool's loop paused: the caller sends the turn back to go on.
    "pause_turn": "stop",
    "refusal": "content_filter",
    "model_context_window_exceeded": "length",
    # The context was summarized, the caller sends it back to go on.
    "compaction": "stop",
}
# https://platform.claude.com/docs/en/api/errors (read 2026-11-21): the status of an error that came inside a success.
ERROR_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_ERROR_STATUS = 400
_MESSAGE_LENGTH = 1_000


class ErrorBody(msgspec.Struct, frozen=True):
    """Anthropic's error: its type, its words, and the code that some add."""

    type: str = ""
    message: str = ""
    code: str = ""


class StopDetails(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    category: str | None = None
    explanation: str | None = None


class ContentBlock(msgspec.Struct, frozen=True):
    """The members of all blocks that say something to a client of OpenAI's API."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    citations: list[msgspec.Raw] | None = None


# The blocks of which something is said; of the others only the type is read.
SPOKEN = frozenset({"text", "tool_use", "thinking", "redacted_thinking", "compaction"})


class _Kind(msgspec.Struct, frozen=True):
    type: str


def read_block(raw: msgspec.Raw) -> ContentBlock:
    """Read a block; one of an unknown kind may have members of any type. Raises UNREADABLE for what is none."""
    try:
        return msgspec.json.decode(raw, type=ContentBlock)
    except msgspec.ValidationError:
        kind = msgspec.json.decode(raw, type=_Kind).type
        if kind in SPOKEN:
            raise
        return ContentBlock(kind)


class Message(msgspec.Struct, frozen=True):
    """A message; its blocks stay raw, because some must go back unchanged."""

    id: str = ""
    model: str = ""
    type: str = ""
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    usage: msgspec.Raw = msgspec.Raw()
    # Of any type in the wild; null is none.
    error: Any = None


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A function's name and its arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool."""

    id: str
    type: str = "function"
    function: FunctionCall


class UrlCitation(msgspec.Struct, frozen=True, kw_only=True):
    """A page that a range of the content, in characters, rests on."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's annotation."""

    type: str = "url_citation"
    url_citation: UrlCitation


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    role: str = "assistant"
    content: str | None
    refusal: str | None
    tool_calls: list[ToolCall] | msgspec.UnsetType = msgspec.UNSET
    function_call: FunctionCall | msgspec.UnsetType = msgspec.UNSET
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    thinking_blocks: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    compaction_blocks: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    annotations: list[Annotation] | msgspec.UnsetType = msgspec.UNSET
    citations: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    index: int = 0
    message: _Reply
    logprobs: None = None
    finish_reason: str
    native_finish_reason: str | None


class _Completion(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[_Choice]
    usage: OpenAiUsage | msgspec.UnsetType


class _WebCitation(msgspec.Struct, frozen=True):
    type: str = ""
    url: str = ""
    title: str | None = None


class _Parts:
    """What the blocks of a message add up to."""

    def __init__(self) -> None:
        self.text = ""
        self.reasoning = ""
        self.calls: list[ToolCall] = []
        self.thinking: list[msgspec.Raw] = []
        self.compaction: list[msgspec.Raw] = []
        self.annotations: list[Annotation] = []
        self.citations: list[msgspec.Raw] = []

    def add(self, raw: msgspec.Raw) -> None:
        """Take the next block. Server tools and their results are the provider's own affair and are left out."""
        block = read_block(raw)
        if block.type == "text":
            start = len(self.text)
            self.text += block.text or ""
            self.citations += block.citations or []
            self.annotations += annotate(block.citations or [], start, len(self.text))
        elif block.type == "tool_use":
            function = FunctionCall(name=block.name or "", arguments=arguments(block))
            self.calls.append(ToolCall(id=block.id or "", function=function))
        elif block.type in ("thinking", "redacted_thinking"):
            self.reasoning += block.thinking or ""
            self.thinking.append(raw)
        elif block.type == "compaction":
            self.compaction.append(raw)

    def said(self) -> str:
        """All of it, for estimates."""
        calls = (part for call in self.calls for part in (call.function.name, call.function.arguments))
        return "\n".join([part for part in (self.reasoning, self.text, *calls) if part])


def decode_reply(call: Call, status: int, headers: Headers, body: bytes, now_s: int) -> Answer:
    """Read a whole answer; raises Refused or InvalidAnswer."""
    if status >= _ERROR_STATUS:
        retry_after_ms, should_retry = parse_retry_after(headers, now_s)
        error = _find_error(body) or ErrorBody(message=f"the provider answered {status} without a readable error")
        raise refuse(error, status, retry_after_ms=retry_after_ms, should_retry=should_retry)
    message = _read_message(body)
    if message.error is not None:
        raise refuse(read_error(message.error), status)
    if message.content is None or message.type not in ("message", ""):
        what = f"the provider answered {message.type!r} without content instead of a message"
        raise InvalidAnswer(what, usage=_usage_of(message))
    parts = _Parts()
    try:
        for raw in message.content:
            parts.add(raw)
    except UNREADABLE as error:
        raise InvalidAnswer(
            f"the provider's {len(body)} bytes are no message: {error}", usage=_usage_of(message)
        ) from None
    return _answer(call, message, parts, now_s)


def _read_message(body: bytes) -> Message:
    """Read a body; raises InvalidAnswer for one that is no message."""
    try:
        body.decode()
        return msgspec.json.decode(body, type=Message)
    except UNREADABLE:
        text = splice.as_text(body)
    try:
        return msgspec.json.decode(splice.mend(text) or text, type=Message)
    except UNREADABLE as error:
        raise InvalidAnswer(f"the provider's {len(body)} bytes are no message: {error}") from None


def _usage_of(message: Message) -> Usage | None:
    figures = read_figures(message.usage)
    return to_usage(figures) if figures else None


def _answer(call: Call, message: Message, parts: _Parts, now_s: int) -> Answer:
    figures = read_figures(message.usage)
    usage = to_usage(figures) if figures else None
    is_legacy = wants_function_call(call)
    unset = msgspec.UNSET
    reply = _Reply(
        content=parts.text if parts.text or not parts.calls else None,
        refusal=explain_refusal(message.stop_details) if message.stop_reason == "refusal" else None,
        tool_calls=(parts.calls or unset) if not is_legacy else unset,
        function_call=parts.calls[0].function if is_legacy and parts.calls else unset,
        reasoning_content=parts.reasoning or unset,
        thinking_blocks=parts.thinking or unset,
        compaction_blocks=parts.compaction or unset,
        annotations=parts.annotations or unset,
        citations=parts.citations or unset,
    )
    choice = _Choice(
        message=reply,
        finish_reason=finish_reason(message.stop_reason, is_legacy),
        native_finish_reason=message.stop_reason,
    )
    completion = _Completion(
        id=message.id,
        created=now_s,
        model=message.model or call.model,
        choices=[choice],
        usage=to_openai(usage, figures) if usage and figures and not figures.is_absurd else unset,
    )
    text = "" if is_counted(usage) else parts.said()
    return Answer(body=msgspec.json.encode(completion), usage=usage, text=text)


def finish_reason(stop_reason: str | None, is_legacy: bool) -> str:
    """OpenAI's finish_reason for a stop_reason; ``is_legacy``: the caller spoke of functions."""
    reason = FINISH_REASONS.get(stop_reason or "", "stop")
    return "function_call" if is_legacy and reason == "tool_calls" else reason


def explain_refusal(details: StopDetails | None) -> str:
    """What ``refusal`` says."""
    category = f" ({details.category})" if details and details.category else ""
    explanation = details.explanation if details else None
    return explanation or f"The model declined to respond{category}."


def wants_function_call(call: Call) -> bool:
    """Tell whether the caller spoke of ``functions`` alone, so that the reply must hold a function_call."""
    if b'"functions"' not in call.body:
        return False
    try:
        fields = read_fields(call.body)
    except Unsupported:
        return False
    return is_given(fields.get("functions")) and not is_given(fields.get("tools"))


def arguments(block: ContentBlock) -> str:
    """A tool's input as JSON text, as the provider wrote it; {} where there is none."""
    return bytes(block.input).decode() if is_given(block.input) else "{}"


def annotate(citations: list[msgspec.Raw], start: int, end: int) -> list[Annotation]:
    """The citations of web pages as OpenAI's annotations of the content's range from ``start`` to ``end``."""
    read = [msgspec.json.decode(raw, type=_WebCitation) for raw in citations]
    return [
        Annotation(url_citation=UrlCitation(url=web.url, title=web.title or "", start_index=start, end_index=end))
        for web in read
        if web.type == "web_search_result_location"
    ]


def refuse(
    error: ErrorBody, status: int, *, retry_after_ms: int | None = None, should_retry: bool | None = None
) -> Refused:
    """Make a Refused of Anthropic's error; inside a success, the error's type tells the status that it stands for."""
    return Refused(
        error.message[:_MESSAGE_LENGTH] or "the provider gave no reason",
        upstream_status=ERROR_STATUSES.get(error.type, status) if status < _ERROR_STATUS else status,
        type=error.type,
        upstream_code=error.code or error.type,
        retry_after_ms=retry_after_ms,
        should_retry=should_retry,
    )


def read_error(told: Any) -> ErrorBody:
    """Read an error as Anthropic words it, or as servers that only speak like it do."""
    if isinstance(told, str):
        return ErrorBody(message=told)
    if not isinstance(told, dict):
        return ErrorBody()
    error = cast("dict[str, Any]", told)
    details = error.get("details")
    code = cast("dict[str, Any]", details).get("error_code") if isinstance(details, dict) else None
    kind, message = error.get("type"), error.get("message")
    return ErrorBody(*(text if isinstance(text, str) else "" for text in (kind, message, code)))


def _find_error(body: bytes) -> ErrorBody | None:
    """The error of a body: a member of that name, or the body itself where it has a message."""
    try:
        told = msgspec.json.decode(body)
    except UNREADABLE:
        return None
    if not isinstance(told, dict):
        return None
    body_itself = cast("dict[str, Any]", told)
    if named := body_itself.get("error"):
        return read_error(named)
    return read_error(told) if isinstance(body_itself.get("message"), str) else None
