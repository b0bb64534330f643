"""The sandbox's magic prompts: words that begin a user's text and ask for a behaviour."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

PREFIX = "sandbox:"
MAX_WAIT_MS = 60_000
MAX_TOKENS = 10_000
MAX_CALLS = 16


class MagicPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the documentation; ``example`` is a prompt that works as it stands."""

    name: str
    example: str
    effect: str


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """How an error of the given status reads; ``retry_after_s`` is sent as Retry-After where it is set."""

    type: str
    code: str
    message: str
    retry_after_s: int | None = None


# Types and codes as OpenAI names them: https://platform.openai.com/docs/guides/error-codes (2026-11-21); 529 is
# Anthropic's: https://docs.anthropic.com/en/api/errors (2026-11-21).
ERRORS: Mapping[int, ErrorReply] = MappingProxyType(
    {
        400: ErrorReply(type="invalid_request_error", code="invalid_value", message="The request is not valid."),
        401: ErrorReply(type="invalid_request_error", code="invalid_api_key", message="Incorrect API key provided."),
        402: ErrorReply(type="insufficient_quota", code="insufficient_quota", message="There is no credit left."),
        403: ErrorReply(type="invalid_request_error", code="forbidden", message="This key may not use the model."),
        404: ErrorReply(type="invalid_request_error", code="model_not_found", message="The model does not exist."),
        408: ErrorReply(type="server_error", code="request_timeout", message="The request timed out."),
        409: ErrorReply(type="invalid_request_error", code="conflict", message="The resource was changed meanwhile."),
        413: ErrorReply(type="invalid_request_error", code="request_too_large", message="The request is too large."),
        422: ErrorReply(type="invalid_request_error", code="unprocessable", message="The request cannot be processed."),
        429: ErrorReply(
            type="requests", code="rate_limit_exceeded", message="Rate limit reached for requests.", retry_after_s=1
        ),
        500: ErrorReply(type="server_error", code="server_error", message="The server had an error."),
        502: ErrorReply(type="server_error", code="bad_gateway", message="Bad gateway."),
        503: ErrorReply(type="server_error", code="overloaded", message="The engine is overloaded.", retry_after_s=1),
        504: ErrorReply(type="server_error", code="gateway_timeout", message="The upstream did not answer in time."),
        529: ErrorReply(type="overloaded_error", code="overloaded", message="Overloaded."),
    }
)

_STATUSES = ", ".join(map(str, ERRORS))

MAGIC_PROMPTS: tuple[MagicPrompt, ...] = (
    MagicPrompt(
        name="error:STATUS",
        example="sandbox:error:429",
        effect=f"an error of that status ({_STATUSES}); 429 and 503 have Retry-After: 1",
    ),
    MagicPrompt(
        name="error:mid-stream",
        example="sandbox:error:mid-stream",
        effect="a stream breaks in its middle with an error event; without stream, a 500",
    ),
    MagicPrompt(name="delay:MS", example="sandbox:delay:200", effect="waits before the first byte, at most 60,000 ms"),
    MagicPrompt(name="gap:MS", example="sandbox:gap:20", effect="waits between chunks, at most 60,000 ms"),
    MagicPrompt(name="tokens:N", example="sandbox:tokens:500", effect="a reply of exactly N tokens, at most 10,000"),
    MagicPrompt(
        name="tool:NAME",
        example="sandbox:tool:get_weather",
        effect="a call of that tool, with arguments made from its schema; after its result, text",
    ),
    MagicPrompt(
        name="tools:N", example="sandbox:tools:3", effect="N parallel calls of the tools given in turn, at most 16"
    ),
    MagicPrompt(name="refusal", example="sandbox:refusal", effect="a refusal instead of a content"),
    MagicPrompt(name="length", example="sandbox:length", effect="half a reply, finish_reason length"),
    MagicPrompt(
        name="content_filter", example="sandbox:content_filter", effect="half a reply, finish_reason content_filter"
    ),
    MagicPrompt(name="empty", example="sandbox:empty", effect="an empty reply of no tokens"),
    MagicPrompt(
        name="truncate",
        example="sandbox:truncate",
        effect="the answer ends in its middle: a stream without [DONE], or half a JSON",
    ),
    MagicPrompt(name="html", example="sandbox:html", effect="a 200 that is a web page"),
    MagicPrompt(name="invalid-json", example="sandbox:invalid-json", effect="a 200 whose JSON is broken"),
    MagicPrompt(name="usage:none", example="sandbox:usage:none", effect="a reply without usage"),
    MagicPrompt(
        name="reasoning", example="sandbox:reasoning", effect="reasoning_content before the reply, and its tokens"
    ),
    MagicPrompt(name="json", example="sandbox:json", effect="a JSON object, by the request's schema if it has one"),
)

# Numbers: word -> (field of Behaviour, the most it may be).
_NUMBERS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "delay": ("delay_ms", MAX_WAIT_MS),
        "gap": ("gap_ms", MAX_WAIT_MS),
        "tokens": ("tokens", MAX_TOKENS),
        "tools": ("calls", MAX_CALLS),
    }
)
_FLAGS = frozenset(prompt.name for prompt in MAGIC_PROMPTS if prompt.name == prompt.name.lower())


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt asks for."""

    # The prompt without its magic words.
    text: str = ""
    error_status: int | None = None
    delay_ms: int = 0
    gap_ms: int = 0
    tokens: int | None = None
    # The tool to call, and how many calls of the tools in turn.
    tool: str | None = None
    calls: int | None = None
    # Names of MAGIC_PROMPTS that take no argument.
    flags: frozenset[str] = frozenset()


class UnknownPrompt(ValueError):
    """A magic word that does not exist, or whose argument is not one."""


def read_behaviour(text: str) -> Behaviour:
    """Read the magic words that begin a text, several if need be (``sandbox:delay:50 sandbox:tokens:9``).

    Raises UnknownPrompt, naming those that exist.
    """
    fields: dict[str, object] = {}
    flags: set[str] = set()
    rest = text.lstrip()
    while rest.startswith(PREFIX):
        word, _, after = _split(rest)
        if word == PREFIX:
            break
        name = word.removeprefix(PREFIX)
        if name in _FLAGS:
            flags.add(name)
        else:
            field, value = _read_word(name)
            fields[field] = value
        rest = after.lstrip()
    return msgspec.convert({**fields, "text": rest, "flags": flags}, Behaviour)


def _split(text: str) -> tuple[str, str, str]:
    words = text.split(maxsplit=1)
    return words[0], " ", words[1] if len(words) > 1 else ""


def _read_word(name: str) -> tuple[str, object]:
    kind, _, argument = name.partition(":")
    if kind == "tool" and argument:
        return "tool", argument
    number = int(argument) if argument.isascii() and argument.isdigit() and len(argument) < 10 else None  # noqa: PLR2004
    if kind == "error" and number in ERRORS:
        return "error_status", number
    if kind in _NUMBERS and number is not None:
        field, most = _NUMBERS[kind]
        return field, min(number, most)
    known = ", ".join(PREFIX + prompt.name for prompt in MAGIC_PROMPTS)
    raise UnknownPrompt(
        f"unknown magic prompt {PREFIX + name[:80]!r}: known are {known}, with STATUS one of {_STATUSES}"
    )
