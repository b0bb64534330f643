"""Speech rendered in OpenAI's wire format: whole replies, and streams event by event.

Shapes: https://platform.openai.com/docs/api-reference/chat and …/completions (2026-11-21); ``reasoning_content`` is
DeepSeek's: https://api-docs.deepseek.com/guides/reasoning_model (2026-11-21).
"""

from collections.abc import Iterator, Sequence

import msgspec

from providers.sandbox.speech import Speech, ToolCall, count_speech

DONE = b"data: [DONE]\n\n"
FINGERPRINT = "fp_sandbox"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What every reply and chunk begins with, and what the request asked of its rendering."""

    id: str
    created: int
    model: str
    # None: no logprobs; else how many alternatives each token gets.
    logprobs: int | None = None
    # The caller asked for usage: chunks before the last then have "usage": null.
    wants_usage: bool = False


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's usage object."""

    class PromptDetails(msgspec.Struct, frozen=True, kw_only=True):
        """The share of the prompt."""

        cached_tokens: int = 0

    class CompletionDetails(msgspec.Struct, frozen=True, kw_only=True):
        """The share of the completion."""

        reasoning_tokens: int = 0

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails = PromptDetails()
    completion_tokens_details: CompletionDetails = CompletionDetails()


def add_usage(prompt_tokens: int, speeches: Sequence[Speech]) -> TokenUsage:
    """Return the usage of a reply; its parts add up."""
    completion = sum(map(count_speech, speeches))
    reasoning = sum(len(speech.reasoning) for speech in speeches)
    return TokenUsage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion,
        total_tokens=prompt_tokens + completion,
        completion_tokens_details=TokenUsage.CompletionDetails(reasoning_tokens=reasoning),
    )


class _Function(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str | msgspec.UnsetType = msgspec.UNSET
    arguments: str


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    # Only in a stream.
    index: int | msgspec.UnsetType = msgspec.UNSET
    id: str | msgspec.UnsetType = msgspec.UNSET
    type: str | msgspec.UnsetType = msgspec.UNSET
    function: _Function


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message or a delta: what is unset is left out, what is None is null."""

    role: str | msgspec.UnsetType = msgspec.UNSET
    content: str | msgspec.UnsetType | None = msgspec.UNSET
    refusal: str | msgspec.UnsetType | None = msgspec.UNSET
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[_Call] | msgspec.UnsetType = msgspec.UNSET
    function_call: _Function | msgspec.UnsetType = msgspec.UNSET


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    # One of the three: a whole chat reply, a chunk of one, a completion.
    message: _Message | msgspec.UnsetType = msgspec.UNSET
    delta: _Message | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    logprobs: object = None
    finish_reason: str | None = None


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str
    created: int
    model: str
    choices: list[_Choice]
    usage: TokenUsage | msgspec.UnsetType | None = msgspec.UNSET
    system_fingerprint: str = FINGERPRINT


_encoder = msgspec.json.Encoder()


def render_chat(head: Head, speeches: Sequence[Speech], usage: TokenUsage | None) -> bytes:
    """Write a whole chat reply; without usage the field is left out."""
    choices = [
        _Choice(
            index=index,
            message=_message(speech),
            logprobs=_chat_logprobs(head, speech.content, speech.refusal),
            finish_reason=speech.finish_reason,
        )
        for index, speech in enumerate(speeches)
    ]
    return _encoder.encode(_reply(head, "chat.completion", choices, usage))


def render_completion(head: Head, speeches: Sequence[Speech], usage: TokenUsage | None) -> bytes:
    """Write a whole completion; without usage the field is left out."""
    choices = [
        _Choice(
            index=index,
            text="".join(speech.content),
            logprobs=_completion_logprobs(head, speech.content, 0),
            finish_reason=speech.finish_reason,
        )
        for index, speech in enumerate(speeches)
    ]
    return _encoder.encode(_reply(head, "text_completion", choices, usage))


def stream_chat(head: Head, speeches: Sequence[Speech], usage: TokenUsage | None) -> tuple[bytes, ...]:
    """Write a chat reply as events: role, one a token, finish, for each choice; then usage, then [DONE]."""
    choices = (choice for index, speech in enumerate(speeches) for choice in _chat_deltas(head, index, speech))
    return _stream(head, "chat.completion.chunk", choices, usage)


def stream_completion(head: Head, speeches: Sequence[Speech], usage: TokenUsage | None) -> tuple[bytes, ...]:
    """Write a completion as events: one a token, finish, for each choice; then usage, then [DONE]."""
    choices = (choice for index, speech in enumerate(speeches) for choice in _completion_pieces(head, index, speech))
    return _stream(head, "text_completion", choices, usage)


def render_error(message: str, *, type: str, code: str | None, param: str | None = None) -> bytes:
    """Write an error in OpenAI's envelope."""
    return _encoder.encode({"error": {"message": message, "type": type, "param": param, "code": code}})


def _reply(head: Head, kind: str, choices: list[_Choice], usage: TokenUsage | msgspec.UnsetType | None) -> _Reply:
    shown = msgspec.UNSET if usage is None else usage
    return _Reply(id=head.id, object=kind, created=head.created, model=head.model, choices=choices, usage=shown)


def _stream(head: Head, kind: str, choices: Iterator[_Choice], usage: TokenUsage | None) -> tuple[bytes, ...]:
    empty = None if head.wants_usage and usage is not None else msgspec.UNSET

    def event(choices: list[_Choice], usage: TokenUsage | msgspec.UnsetType | None) -> bytes:
        chunk = _Reply(id=head.id, object=kind, created=head.created, model=head.model, choices=choices, usage=usage)
        return b"data: " + _encoder.encode(chunk) + b"\n\n"

    events = [event([choice], empty) for choice in choices]
    if usage is not None:
        events.append(event([], usage))
    return (*events, DONE)


def _message(speech: Speech) -> _Message:
    spoken = not speech.refusal and not speech.calls
    calls = [
        _Call(id=call.id, type="function", function=_Function(name=call.name, arguments="".join(call.arguments)))
        for call in speech.calls
    ]
    return _Message(
        role="assistant",
        content="".join(speech.content) if spoken else None,
        refusal="".join(speech.refusal) or None,
        reasoning_content="".join(speech.reasoning) or msgspec.UNSET,
        tool_calls=msgspec.UNSET if speech.is_older or not calls else calls,
        function_call=calls[0].function if speech.is_older and calls else msgspec.UNSET,
    )


def _chat_deltas(head: Head, index: int, speech: Speech) -> Iterator[_Choice]:
    spoken = not speech.refusal and not speech.calls
    yield _Choice(index=index, delta=_Message(role="assistant", content="" if spoken else None, refusal=None))
    for token in speech.reasoning:
        yield _Choice(index=index, delta=_Message(reasoning_content=token))
    for token in speech.content:
        logprobs = _chat_logprobs(head, (token,), ())
        yield _Choice(index=index, delta=_Message(content=token), logprobs=logprobs)
    for token in speech.refusal:
        logprobs = _chat_logprobs(head, (), (token,))
        yield _Choice(index=index, delta=_Message(refusal=token), logprobs=logprobs)
    for place, call in enumerate(speech.calls):
        for piece in _call_pieces(place, call):
            delta = _Message(function_call=piece.function) if speech.is_older else _Message(tool_calls=[piece])
            yield _Choice(index=index, delta=delta)
    yield _Choice(index=index, delta=_Message(), finish_reason=speech.finish_reason)


def _call_pieces(place: int, call: ToolCall) -> Iterator[_Call]:
    yield _Call(index=place, id=call.id, type="function", function=_Function(name=call.name, arguments=""))
    for token in call.arguments:
        yield _Call(index=place, function=_Function(arguments=token))


def _completion_pieces(head: Head, index: int, speech: Speech) -> Iterator[_Choice]:
    offset = 0
    for token in speech.content:
        yield _Choice(index=index, text=token, logprobs=_completion_logprobs(head, (token,), offset))
        offset += len(token)
    yield _Choice(index=index, text="", finish_reason=speech.finish_reason)


def _logprob(token: str) -> float:
    """Return a log probability between -0.01 and -0.64, the same for the same token."""
    return -(1 + sum(token.encode("utf-8", "replace")) % 64) / 100


def _alternatives(token: str, count: int) -> dict[str, float]:
    return {token if rank == 0 else f"{token}~{rank}": _logprob(token) - rank for rank in range(count)}


def _chat_logprobs(head: Head, content: Sequence[str], refusal: Sequence[str]) -> object:
    if head.logprobs is None:
        return None

    def entry(token: str, logprob: float) -> dict[str, object]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}

    def entries(tokens: Sequence[str]) -> list[dict[str, object]] | None:
        return [
            entry(token, _logprob(token))
            | {"top_logprobs": [entry(*pair) for pair in _alternatives(token, head.logprobs or 0).items()]}
            for token in tokens
        ] or None

    return {"content": entries(content), "refusal": entries(refusal)}


def _completion_logprobs(head: Head, tokens: Sequence[str], offset: int) -> object:
    if head.logprobs is None:
        return None
    starts = [offset + sum(map(len, tokens[:place])) for place in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": [_logprob(token) for token in tokens],
        "top_logprobs": [_alternatives(token, head.logprobs) for token in tokens],
        "text_offset": starts,
    }
