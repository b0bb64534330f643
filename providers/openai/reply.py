"""A whole OpenAI answer: checked to be one, its usage read, its errors told apart; the bytes stay as they are.

Failure behavior: an error of the provider raises Refused; a body that is no answer of the endpoint, or an empty
success, raises InvalidAnswer.
"""

import json
from collections.abc import Callable
from typing import Any, cast

import msgspec

from providers import splice
from providers.chat import Answer, Usage, is_counted
from providers.errors import InvalidAnswer, ProviderError, Refused
from providers.openai.usage import UsageWire, read_any_usage, read_usage
from providers.retry_after import parse_retry_after
from providers.sse import BYTE_ORDER_MARK
from providers.wire import Call, Headers

HTTP_OK = 200
HTTP_ERROR, HTTP_LIMIT = 400, 600
MAX_MESSAGE_CHARS = 2_000
# An embeddings answer can be megabytes of numbers; its usage stands within this many bytes of the end.
TAIL_BYTES = 1_024


class FunctionWire(msgspec.Struct, frozen=True, gc=False):
    """A called function; arguments are JSON as text."""

    name: str | None = None
    arguments: str | None = None


class CustomWire(msgspec.Struct, frozen=True, gc=False):
    """A called custom tool; its input is free text (https://platform.openai.com/docs/guides/function-calling)."""

    name: str | None = None
    input: str | None = None


class ToolCallWire(msgspec.Struct, frozen=True, gc=False):
    """One tool call, or the next part of one."""

    function: FunctionWire | None = None
    custom: CustomWire | None = None


class AudioWire(msgspec.Struct, frozen=True, gc=False):
    """What was spoken; the sound itself says nothing that could be counted."""

    transcript: str | None = None


class ThoughtWire(msgspec.Struct, frozen=True, gc=False):
    """A part of the reasoning; one that is sealed has neither member (https://openrouter.ai/docs, 2026-11-28)."""

    text: str | None = None
    summary: str | None = None


class MessageWire(msgspec.Struct, frozen=True, gc=False):
    """What was said, in a message or in a delta."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallWire] | None = None
    function_call: FunctionWire | None = None
    audio: AudioWire | None = None
    reasoning_details: list[ThoughtWire] | None = None


class ChoiceWire(msgspec.Struct, frozen=True, gc=False):
    """One choice of chat (message), of chat streamed (delta) or of a completion (text).

    An empty ``finish_reason`` is none: some servers fill it in so while a choice goes on
    (https://github.com/sgl-project/sglang/issues/3912, 2026-11-28).
    """

    index: int | None = None
    message: MessageWire | None = None
    delta: MessageWire | None = None
    text: str | None = None
    finish_reason: str | None = None
    # Moonshot counts here (https://platform.moonshot.ai/docs/api/chat, 2026-11-27).
    usage: UsageWire | None = None


class ReplyWire(msgspec.Struct, frozen=True, gc=False):
    """The members of an answer that the gateway reads."""

    choices: list[ChoiceWire] | None = None
    usage: UsageWire | None = None
    # Of any type in the wild; null is none.
    error: Any = None
    service_tier: str | None = None


REPLY = msgspec.json.Decoder(ReplyWire)
LOOSE_REPLY = msgspec.json.Decoder(dict[str, Any])
ANY_REPLY = msgspec.json.Decoder()
TAIL = msgspec.json.Decoder(UsageWire)
ONE_OBJECT = json.JSONDecoder()
BROKEN_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def say(message: MessageWire, said: list[str]) -> None:
    """Append everything that cost output tokens in a message or a delta."""
    if message.content:
        said.append(message.content)
    if message.refusal:
        said.append(message.refusal)
    if thought := message.reasoning_content or message.reasoning:
        said.append(thought)
    elif message.reasoning_details:
        # Where there is a text of its own, it says the same.
        said += [text for part in message.reasoning_details if (text := part.text or part.summary)]
    for call in message.tool_calls or ():
        if call.function is not None:
            said.append((call.function.name or "") + (call.function.arguments or ""))
        elif call.custom is not None:
            said.append((call.custom.name or "") + (call.custom.input or ""))
    if message.function_call is not None:
        said.append((message.function_call.name or "") + (message.function_call.arguments or ""))
    if message.audio is not None and message.audio.transcript:
        said.append(message.audio.transcript)


def spoken(choices: list[ChoiceWire]) -> str:
    """All text of the choices."""
    said: list[str] = []
    for choice in choices:
        message = choice.message or choice.delta
        if message is not None:
            say(message, said)
        if choice.text:
            said.append(choice.text)
    return "".join(said)


def read_reply(call: Call, status: int, headers: Headers, body: bytes, now_s: Callable[[], int]) -> Answer:
    """Check a whole answer and read its usage."""
    if status >= HTTP_ERROR:
        raise read_error(status, headers, body, now_s())
    if status != HTTP_OK:
        raise InvalidAnswer(f"the provider answered status {status} with {len(body)} bytes, not an answer")
    if not body:
        raise InvalidAnswer("the provider answered a success without a body")
    return _read_embeddings(body) if call.endpoint == "embeddings" else _read_choices(body)


def _read_choices(body: bytes) -> Answer:
    try:
        reply = REPLY.decode(body)
    except BROKEN_JSON:
        return _read_loosely(body.removeprefix(BYTE_ORDER_MARK), "choices")
    if reply.error is not None:
        raise error_in_success(reply.error)
    choices = reply.choices
    told = reply.usage or (choices[0].usage if choices else None)
    usage = None if told is None else read_usage(told, reply.service_tier)
    if not choices:
        raise InvalidAnswer("the provider's answer has no choices", usage=usage)
    if choices[0].finish_reason == "error":
        raise _broken_off(usage)
    return Answer(body=body, usage=usage, text="" if is_counted(usage) else spoken(choices))


def _broken_off(usage: Usage | None) -> Refused:
    broken = Refused("the provider ended its answer with an error", upstream_status=HTTP_OK)
    # What it took until then is billed.
    broken.usage = usage
    return broken


def _unreadable(body: bytes, broken: Exception) -> InvalidAnswer:
    """What a body is that nobody can read; one that begins as an answer may say what it used."""
    is_cut = body.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"{")
    usage = _usage_at_end(body) if is_cut else None
    return InvalidAnswer(f"the provider's answer is not JSON: {broken}", usage=usage)


def _usage_at_end(body: bytes) -> Usage | None:
    """The last usage object that can be read by itself."""
    opening = body.find(b"{", body.rfind(b'"usage"')) if b'"usage"' in body else -1
    if opening < 0:
        return None
    try:
        told, _ = ONE_OBJECT.raw_decode(body[opening : opening + TAIL_BYTES].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return read_any_usage(told)


def _read_loosely(body: bytes, listed: str) -> Answer:
    """Read an answer whose members have unusual types, such as content in parts, or that is not quite JSON."""
    body = splice.as_text(body)
    try:
        reply = LOOSE_REPLY.decode(splice.mend(body) or body)
    except msgspec.ValidationError as wrong:
        raise InvalidAnswer(f"the provider's answer is not a JSON object: {wrong}") from wrong
    except BROKEN_JSON as broken:
        raise _unreadable(body, broken) from broken
    if reply.get("error"):
        raise error_in_success(reply["error"])
    items: Any = reply.get(listed)
    tier, told = reply.get("service_tier"), reply.get("usage")
    if listed == "data" and isinstance(told, dict):
        figures = cast("dict[str, Any]", told)
        told = {"prompt_tokens": figures.get("total_tokens"), **figures}
    usage = read_any_usage(told, tier if isinstance(tier, str) else None)
    if not isinstance(items, list) or not items:
        raise InvalidAnswer(f"the provider's answer has no {listed}", usage=usage)
    if listed == "data" or is_counted(usage):
        return Answer(body=body, usage=usage)
    return Answer(body=body, usage=usage, text=_spoken_loosely(reply[listed]))


def _spoken_loosely(choices: list[Any]) -> str:
    """All text of choices in which anything may have an unusual type, without what only frames it."""
    try:
        return spoken(msgspec.convert(choices, list[ChoiceWire]))
    except msgspec.ValidationError:
        pass
    said: list[Any] = []
    for choice in choices:
        if not isinstance(choice, dict):
            continue
        parts = cast("dict[str, Any]", choice)
        for part in (parts.get("message"), parts.get("delta"), parts.get("text")):
            said.append({**cast("dict[str, Any]", part), "role": None} if isinstance(part, dict) else part)
    return "".join(strings_in(said))


def strings_in(value: Any) -> list[str]:
    """Every string inside a JSON value that is not a name: a generous measure of what was said."""
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            waiting += reversed(list(cast("dict[str, Any]", item).values()))
        elif isinstance(item, list):
            waiting.extend(reversed(cast("list[Any]", item)))  # type: ignore[redundant-cast]
    return found


def _read_embeddings(body: bytes) -> Answer:
    """Read the usage at the end of the numbers; only an answer that ends otherwise is parsed whole."""
    start = body.rfind(b'"usage"', max(0, len(body) - TAIL_BYTES))
    if start > 0 and body[:32].lstrip().startswith(b"{") and b'"embedding"' in body[:TAIL_BYTES]:
        opening = body.find(b"{", start)
        closing = body.find(b"}", opening)
        try:
            told = TAIL.decode(body[opening : closing + 1])
        except BROKEN_JSON:
            return _read_loosely(body, "data")
        if told.prompt_tokens is None:
            # Voyage tells the total alone, and all of it is input (https://docs.voyageai.com/reference, 2026-11-27).
            told = msgspec.structs.replace(told, prompt_tokens=told.total_tokens)
        if closing > 0 and body[closing + 1 :].strip().endswith(b"}"):
            return Answer(body=body, usage=read_usage(told))
    return _read_loosely(body, "data")


class ErrorWire(msgspec.Struct, frozen=True, gc=False):
    """OpenAI's error object; every member may have any type in the wild."""

    message: Any = None
    type: Any = None
    param: Any = None
    code: Any = None
    # Members that some providers document beside OpenAI's own, for clients to read (each read 2026-11-26): what a
    # model said that was no call of a tool (https://console.groq.com/docs/tool-use),
    failed_generation: Any = None
    # which provider failed and in which words (https://openrouter.ai/docs/api-reference/errors),
    metadata: Any = None
    # and which filter stopped it (https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter).
    innererror: Any = None


# What a type of error means where no status says it. Source: https://platform.openai.com/docs/guides/error-codes
# (2026-11-27).
STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
}
EXTRAS = ("failed_generation", "metadata", "innererror")
# A longer text is cut; anything else that is longer, as JSON, is left out.
MAX_EXTRA_BYTES = 16_384


ERROR = msgspec.json.Decoder(ErrorWire)


def read_error(status: int, headers: Headers, body: bytes, now_s: int) -> ProviderError:
    """What the provider says is wrong; a body that says nothing still gives an error that names the status."""
    retry_after_ms, should_retry = parse_retry_after(headers, now_s)
    error = _find_error(body)
    return Refused(
        _text(error.message) or f"the provider answered status {status}",
        upstream_status=status,
        type=_text(error.type),
        upstream_code=_text(error.code),
        param=_text(error.param) or None,
        retry_after_ms=retry_after_ms,
        should_retry=should_retry,
        extras=_extras(error),
    )


def error_in_success(value: Any) -> Refused:
    """An error object that came with status 200, as OpenRouter sends it once it has begun to answer."""
    error = _as_error(value)
    return Refused(
        _text(error.message) or "the provider answered with an error",
        upstream_status=_status_of(value),
        type=_text(error.type),
        upstream_code=_text(error.code),
        extras=_extras(error),
    )


def _extras(error: ErrorWire) -> dict[str, Any]:
    """The further members that are there, within their bound."""
    found: dict[str, Any] = {}
    for name in EXTRAS:
        value = getattr(error, name)
        if isinstance(value, str):
            found[name] = value.encode("utf-8", "replace")[:MAX_EXTRA_BYTES].decode("utf-8", "ignore")
        elif value is not None and len(msgspec.json.encode(value)) <= MAX_EXTRA_BYTES:
            found[name] = value
    return found


def _status_of(value: Any) -> int:
    """The status that an error object names: OpenRouter's code, Groq's status_code, a type; 200 where it names none."""
    if isinstance(value, dict):
        error = cast("dict[str, Any]", value)
        for status in (error.get("status_code"), error.get("code")):
            if isinstance(status, int) and HTTP_ERROR <= status < HTTP_LIMIT:
                return status
        return STATUS_OF_TYPE.get(_text(error.get("type")), HTTP_OK)
    return HTTP_OK


def _find_error(body: bytes) -> ErrorWire:
    try:
        value = ANY_REPLY.decode(body)
    except BROKEN_JSON:
        return ErrorWire()
    if isinstance(value, list):
        # Google's compatible endpoint answers with a list of one.
        value = next(iter(cast("list[Any]", value)), None)  # type: ignore[redundant-cast]
    if not isinstance(value, dict):
        return ErrorWire()
    told = cast("dict[str, Any]", value)
    detail = told.get("detail")
    if isinstance(detail, str) and not told.keys() & {"error", "message"}:
        # Servers made with FastAPI say it so. A list there quotes the request, and is not shown.
        return ErrorWire(message=detail)
    return _as_error(told.get("error", told))


def _as_error(value: Any) -> ErrorWire:
    if isinstance(value, str):
        return ErrorWire(message=value)
    if isinstance(value, dict):
        return msgspec.convert(value, ErrorWire)
    return ErrorWire()


def _text(value: Any) -> str:
    return str(value)[:MAX_MESSAGE_CHARS] if isinstance(value, str | int) else ""
