"""Request bodies of the OpenAI surface: what the gateway reads is checked, everything else passes unread.

The bytes stay as they came. A field that steers the gateway may stand once only: a parser here and one at the
provider could otherwise each believe another value.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from gateway.errors import Fault, shown
from providers import splice
from providers.wire import Call

MAX_DEPTH = 64
MAX_MODEL_CHARS = 256
# Source: https://platform.openai.com/docs/api-reference/chat/create and /embeddings/create (2026-11-21): n at most
# 128, temperature 0 to 2, 2,048 embedding inputs. Token limits and stops are bounded far above any provider's own.
Count = Annotated[int, msgspec.Meta(ge=1, le=128)]
TokenLimit = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Stops = str | Annotated[list[str], msgspec.Meta(max_length=64)] | None
ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_MODEL_CHARS)]
ToolName = Annotated[str, msgspec.Meta(pattern="^[a-zA-Z0-9_-]{1,128}$")]
TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**31)]

# OpenAI's five, then those of OpenRouter and vLLM (video, audio, embeds), of Mistral (document_url, reference:
# https://docs.mistral.ai/api, 2026-11-28), and the blocks that Anthropic's models return.
PartType = Literal[
    "text", "image_url", "input_audio", "file", "refusal",
    "video_url", "input_video", "audio_url", "image_embeds", "audio_embeds", "document_url", "reference",
    "thinking", "redacted_thinking", "reasoning", "document", "search_result",
]  # fmt: skip


class Part(msgspec.Struct, frozen=True):
    """One part of a message's content."""

    type: PartType


class Message(msgspec.Struct, frozen=True):
    """A message; what it says is the provider's business."""

    role: Literal["user", "assistant", "system", "tool", "developer", "function"]
    content: str | list[Part] | None = None


class ToolFunction(msgspec.Struct, frozen=True):
    """The part of a tool that providers check."""

    name: ToolName


class Tool(msgspec.Struct, frozen=True):
    """A tool; other kinds than functions pass unread."""

    function: ToolFunction | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """OpenAI's three kinds, vLLM's structural tags, and what other servers take.

    Fireworks' grammar (https://docs.fireworks.ai/structured-responses/structured-output-grammar-based, 2026-11-28), and
    Together's regex and the json of Hugging Face's servers as clients send them; their documents were not at hand.
    """

    type: Literal["text", "json_object", "json_schema", "structural_tag", "grammar", "regex", "json"]


class StreamOptions(msgspec.Struct, frozen=True):
    """What the client wants in its stream."""

    include_usage: bool | None = None


class ChatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of every chat beside its messages."""

    stream: bool | UnsetType | None = UNSET
    n: Count | UnsetType | None = UNSET
    max_tokens: TokenLimit | UnsetType | None = UNSET
    max_completion_tokens: TokenLimit | UnsetType | None = UNSET
    temperature: Temperature | None = None
    top_p: Share | None = None
    stop: Stops = None
    response_format: ResponseFormat | None = None
    stream_options: StreamOptions | None = None


class ChatBody(ChatOptions, frozen=True):
    """POST /v1/chat/completions."""

    model: ModelName
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    tools: list[Tool] | None = None


# What passes as it stands is not even made a value.
UNREAD = msgspec.Raw()


class PlainMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message of text alone."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | None = None
    name: str | None = None


class PlainBody(ChatOptions, frozen=True, forbid_unknown_fields=True):
    """A chat of which nothing but its text and its reply is billed, as most are: it has no member besides these.

    Read first: what is found plain need not be searched for what is billed otherwise (gateway.budgets.exclusions).
    """

    model: ModelName
    messages: Annotated[list[PlainMessage], msgspec.Meta(min_length=1)]
    frequency_penalty: msgspec.Raw = UNREAD
    presence_penalty: msgspec.Raw = UNREAD
    seed: msgspec.Raw = UNREAD
    user: msgspec.Raw = UNREAD
    logprobs: msgspec.Raw = UNREAD
    top_logprobs: msgspec.Raw = UNREAD
    reasoning_effort: msgspec.Raw = UNREAD


class CompletionBody(msgspec.Struct, frozen=True):
    """POST /v1/completions."""

    model: ModelName
    prompt: str | list[str | TokenId | list[TokenId]] | None = ""
    stream: bool | UnsetType | None = UNSET
    n: Count | UnsetType | None = UNSET
    # 0 asks for nothing new, only for what the prompt's own tokens are worth (echo with logprobs).
    max_tokens: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] | UnsetType | None = UNSET
    temperature: Temperature | None = None
    top_p: Share | None = None
    stop: Stops = None
    stream_options: StreamOptions | None = None


class EmbeddingBody(msgspec.Struct, frozen=True):
    """POST /v1/embeddings."""

    model: ModelName
    input: str | Annotated[list[str | TokenId | list[TokenId]], msgspec.Meta(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None


# Quoted names, or ends of names.
Names = tuple[bytes, ...]
# What may stand twice, by whether stream, n and a limit of tokens were given; what was not cannot be there twice.
NAMES_GIVEN: dict[tuple[bool, bool, bool], Names] = {
    (stream, n, limit): (
        b'"model"',
        *((b'"stream"',) if stream else ()),
        *((b'"n"',) if n else ()),
        *((b'_tokens"',) if limit else ()),
    )
    for stream in (False, True)
    for n in (False, True)
    for limit in (False, True)
}
PLAIN_CHAT = msgspec.json.Decoder(PlainBody)
CHAT = msgspec.json.Decoder(ChatBody)
COMPLETION = msgspec.json.Decoder(CompletionBody)
EMBEDDING = msgspec.json.Decoder(EmbeddingBody)
MAX_EMBEDDING_INPUTS = 2_048
PATH_IN_MESSAGE = re.compile(r"at `\$\.?([^`]*)`|field `([^`]*)`")
STEP_IN_PATH = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
# ASCII letters and the underscore written as \u00XX: no encoder does it, so it can only be meant to hide a name.
ESCAPED_ASCII = re.compile(rb"\\u00[4-7]")


def decode(endpoint: str, body: bytes) -> Call:
    """Check a body and read what steers the gateway; raises Fault with the field's name."""
    try:
        call, names = DECODERS[endpoint](body)
        if not body.isascii():
            body.decode()
    except msgspec.ValidationError as invalid:
        raise _explain(body, str(invalid)) from invalid
    except UNREADABLE as broken:
        raise _explain_unreadable(body, broken) from broken
    if splice.depth_exceeds(body, MAX_DEPTH):
        raise _too_deep()
    _refuse_duplicates(names, body)
    return call


def _explain_unreadable(body: bytes, broken: Exception) -> Fault:
    """Say why nobody can read a body."""
    if isinstance(broken, RecursionError):
        return _too_deep()
    if not isinstance(broken, UnicodeDecodeError):
        return Fault("invalid_request", f"The body is not valid JSON: {broken}.")
    try:
        # The decoder counts from the beginning of the text that the byte stands in.
        body.decode()
    except UnicodeDecodeError as whole:
        broken = whole
    value = body[broken.start : broken.end]
    return Fault("invalid_request", f"The body is not UTF-8: {broken.reason} at byte {broken.start}, {value!r}.")


def _too_deep() -> Fault:
    return Fault("invalid_request", f"The body is nested deeper than {MAX_DEPTH} levels.")


def _decode_chat(body: bytes) -> tuple[Call, Names]:
    chat: PlainBody | ChatBody
    try:
        chat, is_plain = PLAIN_CHAT.decode(body), True
    except msgspec.ValidationError:
        chat, is_plain = CHAT.decode(body), False
    options, stream, n = chat.stream_options, chat.stream, chat.n
    longest, most = chat.max_completion_tokens, chat.max_tokens
    call = Call(
        endpoint="chat/completions",
        body=body,
        model=chat.model,
        stream=stream is True,
        wants_usage=options is not None and options.include_usage is True,
        max_tokens=longest or most or None,
        n=n or 1,
        # Which of two limits a provider believes is its own choice.
        is_plain=is_plain and (longest is UNSET or most is UNSET),
    )
    has_limit = longest is not UNSET or most is not UNSET
    return call, NAMES_GIVEN[stream is not UNSET, n is not UNSET, has_limit]


def _decode_completion(body: bytes) -> tuple[Call, Names]:
    completion = COMPLETION.decode(body)
    options, stream, n, most = completion.stream_options, completion.stream, completion.n, completion.max_tokens
    call = Call(
        endpoint="completions",
        body=body,
        model=completion.model,
        stream=stream is True,
        wants_usage=options is not None and options.include_usage is True,
        max_tokens=None if most is UNSET else most,
        n=n or 1,
        prompts=_count_prompts(completion.prompt),
    )
    return call, NAMES_GIVEN[stream is not UNSET, n is not UNSET, most is not UNSET]


def _count_prompts(prompt: str | list[str | int | list[int]] | None) -> int:
    """How many texts a completion goes on from: a list of tokens is one, and so is none."""
    if prompt is None or isinstance(prompt, str) or all(isinstance(item, int) for item in prompt):
        return 1
    return len(prompt)


def _decode_embedding(body: bytes) -> tuple[Call, Names]:
    embedding = EMBEDDING.decode(body)
    if isinstance(embedding.input, list) and len(embedding.input) > MAX_EMBEDDING_INPUTS:
        is_one_text_of_tokens = all(isinstance(item, int) for item in embedding.input)
        if not is_one_text_of_tokens:
            raise Fault(
                "invalid_request",
                f"'input' has {len(embedding.input)} texts; {MAX_EMBEDDING_INPUTS} is the most. Send several requests.",
                param="input",
            )
    return Call(endpoint="embeddings", body=body, model=embedding.model), NAMES_GIVEN[True, True, True]


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
DECODERS = {"chat/completions": _decode_chat, "completions": _decode_completion, "embeddings": _decode_embedding}
MAX_REASON_CHARS = 200
STEERING = ("messages", "stream_options", "max_completion_tokens", "prompt", "input")


def _refuse_duplicates(names: Names, body: bytes) -> None:
    suspicious = False
    for name in names:
        suspicious = suspicious or body.count(name) > 1
    # Not "in", which first takes the bytes for a number and fails at that.
    if not suspicious and body.find(b"\\u00") >= 0:
        suspicious = ESCAPED_ASCII.search(body) is not None
    if not suspicious:
        return
    steering = {"model", "stream", "n", "max_tokens", *STEERING}
    seen: set[str] = set()
    for member in splice.members(body):
        if member.name not in steering:
            continue
        if member.name in seen:
            raise Fault("invalid_request", f"{member.name!r} is given more than once.", param=member.name)
        if body[member.start + 1 : member.start + 1 + len(member.name)] != member.name.encode():
            raise Fault("invalid_request", f"The name {member.name!r} is written with escapes.", param=member.name)
        seen.add(member.name)


def _explain(body: bytes, message: str) -> Fault:
    """Name the field, say what is wrong, and show its value: the innermost one, never what stands around it."""
    found = PATH_IN_MESSAGE.search(message)
    path = (found[1] or found[2]) if found is not None else ""
    if found is not None and found[2] and found[1] is None and " - at `$." in message:
        path = message.rsplit(" - at `$.", 1)[1].rstrip("`") + "." + found[2]
    # An enumeration's refusal quotes the value whole.
    reason = message.split(" - at `", 1)[0][:MAX_REASON_CHARS]
    if not path:
        return Fault("invalid_request", f"The body is not what this endpoint takes: {reason}.")
    if found is not None and found[2]:
        return Fault("invalid_request", f"{path!r} is missing.", param=path)
    reason = reason[:1].lower() + reason[1:]
    try:
        value = _value_at(msgspec.json.decode(body), path)
    except msgspec.ValidationError:
        # A number beyond any range: the checks named it, and nothing can hold it.
        value = "out of range"
    except UNREADABLE as broken:
        # Behind the field that was named: then the whole body is what is wrong.
        return _explain_unreadable(body, broken)
    return Fault("invalid_request", f"{path!r} is {value}: {reason}.", param=path)


def _value_at(value: Any, path: str) -> str:
    for step in STEP_IN_PATH.finditer(path):
        try:
            value = value[int(step[2])] if step[2] else value[step[1]]
        except (KeyError, IndexError, TypeError):
            # The path names any element ("[...]"): what holds it is shown.
            break
    return shown(value)
