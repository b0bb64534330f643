"""The deterministic model behind test keys: it calls nothing, costs nothing, and does what magic prompts ask.

Failure behavior: a request that OpenAI would refuse becomes a reply with status 400; nothing raises but Unsupported,
for an endpoint that does not exist here.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from providers.chat import Usage
from providers.errors import Unsupported
from providers.sandbox import frames
from providers.sandbox.magic import ERRORS, Behaviour, UnknownPrompt, read_behaviour
from providers.sandbox.request import Chat, Completion, Format, Function, Message, NamedTool, renew
from providers.sandbox.schema import invent
from providers.sandbox.speech import (
    REASONING,
    REFUSAL,
    Speech,
    ToolCall,
    echo,
    estimate_prompt,
    fill,
    halve,
    limit,
    phrase,
    stop_at,
    tokenize,
)
from providers.sandbox.vectors import EmbeddingsRequest, InvalidRequest, read_inputs, render_embeddings
from providers.wire import Call

MESSAGE_TOKENS = 4
# Of one reply, all its choices together: a reply is planned whole, so its size is bounded.
MAX_CHOICES = 128
MAX_REPLY_TOKENS = 20_000
NS_PER_S = 1_000_000_000
_JSON = ("content-type", "application/json")
_EVENTS = ("content-type", "text/event-stream; charset=utf-8")
_HTML = b"<!DOCTYPE html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"


_PROMPT_FIELDS = {"chat/completions": "messages", "completions": "prompt", "embeddings": "input"}


class SandboxReply(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and when."""

    status: int = 200
    # Lower-case names.
    headers: tuple[tuple[str, str], ...] = (_JSON,)
    # Of a reply that is no stream.
    body: bytes = b""
    # Of a stream: whole SSE events, [DONE] the last unless the stream is to break; None: no stream.
    events: tuple[bytes, ...] | None = None
    # Before the first byte, and between events.
    delay_ms: int = 0
    gap_ms: int = 0
    # The stream breaks off after this many events, the rest is never sent; None: all are sent.
    cut_after: int | None = None
    # What the reply says of its usage; None where it says nothing.
    usage: Usage | None = None


class Sandbox:
    """Plans replies; the clock dates them, all else is a function of the call."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._plans: Mapping[str, Callable[[Call], SandboxReply]] = {
            "chat/completions": self._chat,
            "completions": self._completion,
            "embeddings": self._embeddings,
        }

    def plan(self, call: Call) -> SandboxReply:
        """Decide the reply to a call: its bytes, its pauses, and where it breaks."""
        plan = self._plans.get(call.endpoint)
        if plan is None:
            raise Unsupported(f"the sandbox has no endpoint {call.endpoint!r}", param=None)
        try:
            return plan(call)
        except UnknownPrompt as error:
            return _refuse(str(error), param=_PROMPT_FIELDS[call.endpoint])
        except InvalidRequest as error:
            return _refuse(str(error), param=error.param)
        except msgspec.DecodeError as error:
            return _refuse(f"The request is not valid: {error}", param=_param_of(str(error)))

    def _chat(self, call: Call) -> SandboxReply:
        chat = renew(msgspec.json.decode(call.body, type=Chat))
        behaviour = read_behaviour(_asked(chat.messages))
        digest = _digest(call.body)
        most = _share(call, call.n)
        spoken = [_speak(chat, behaviour, index, digest) for index in range(call.n)]
        speeches = [_finish(speech, chat.stop, behaviour, most) for speech in spoken]
        logprobs = min(max(chat.top_logprobs or 0, 0), 20) if chat.logprobs else None
        head = self._head(call, "chatcmpl-" + digest, logprobs)
        usage = frames.add_usage(_count_chat(chat), speeches)
        return _deliver(call, behaviour, head, speeches, usage)

    def _completion(self, call: Call) -> SandboxReply:
        request = msgspec.json.decode(call.body, type=Completion)
        prompts, prompt_tokens = _prompts(request.prompt)
        behaviours = [read_behaviour(prompt) for prompt in prompts]
        most = _share(call, call.n * len(prompts))
        spoken = [(behaviour, _say(behaviour, index)) for behaviour in behaviours for index in range(call.n)]
        speeches = [_finish(speech, request.stop, behaviour, most) for behaviour, speech in spoken]
        logprobs = None if request.logprobs is None else min(max(request.logprobs, 0), 5)
        head = self._head(call, "cmpl-" + _digest(call.body), logprobs)
        usage = frames.add_usage(prompt_tokens, speeches)
        if request.echo:
            asked = [prompt for prompt in prompts for _ in range(call.n)]
            speeches = [echo(speech, prompt) for speech, prompt in zip(speeches, asked, strict=True)]
        return _deliver(call, behaviours[0], head, speeches, usage)

    def _embeddings(self, call: Call) -> SandboxReply:
        request = msgspec.json.decode(call.body, type=EmbeddingsRequest)
        inputs = read_inputs(request)
        behaviour = read_behaviour(inputs[0]) if isinstance(inputs[0], str) else Behaviour()
        body, tokens = render_embeddings(request, inputs, call.model)
        reply = SandboxReply(body=body, usage=Usage(input_tokens=tokens), delay_ms=behaviour.delay_ms)
        return _disturb(reply, behaviour)

    def _head(self, call: Call, reply_id: str, logprobs: int | None) -> frames.Head:
        created = self._now_ns() // NS_PER_S
        return frames.Head(
            id=reply_id, created=created, model=call.model, logprobs=logprobs, wants_usage=call.wants_usage
        )


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def _asked(messages: Sequence[Message]) -> str:
    """Return the last text of the user, of anybody where there is no user."""
    texts = [message.text() for message in messages if message.role == "user"]
    return texts[-1] if texts else "".join(message.text() for message in messages[-1:])


def _count_chat(chat: Chat) -> int:
    texts = [message.text() for message in chat.messages]
    calls = [called.function for message in chat.messages for called in message.tool_calls or ()]
    texts.extend(text for called in calls for text in (called.name, called.arguments))
    texts.extend(msgspec.json.encode(tool).decode() for tool in chat.tools or ())
    return estimate_prompt(texts) + MESSAGE_TOKENS * len(chat.messages)


def _prompts(given: str | list[str | int | list[int]] | None) -> tuple[list[str], int]:
    """Return the texts of a completion's prompts, and their tokens; token ids are described, not understood."""
    if given is None or isinstance(given, str):
        return [given or ""], estimate_prompt([given or ""])
    ids = [item for item in given if isinstance(item, int)]
    items: list[str | list[int]] = [ids] if ids else [item for item in given if not isinstance(item, int)]
    texts = [item if isinstance(item, str) else f"{len(item)} tokens" for item in items]
    tokens = sum(estimate_prompt([item]) if isinstance(item, str) else len(item) for item in items)
    return texts or [""], tokens


def _speak(chat: Chat, behaviour: Behaviour, index: int, digest: str) -> Speech:
    """Choose what a chat says: calls of tools, JSON where the request has a format, else text."""
    answering_tool = bool(chat.messages) and chat.messages[-1].role in ("tool", "function")
    called = _choose_tools(chat, behaviour, answering_tool)
    if called:
        calls = tuple(_call(function, f"call_{digest}_{index}_{place}") for place, function in enumerate(called))
        is_older = chat.functions is not None
        return Speech(calls=calls, is_older=is_older, finish_reason="function_call" if is_older else "tool_calls")
    response_format = chat.response_format or Format()
    if response_format.type != "text" or "json" in behaviour.flags:
        schema = response_format.json_schema.schema if response_format.json_schema else None
        value = {"reply": phrase(behaviour.text, index)} if schema is None else invent(schema)
        return _say(behaviour, index, text=msgspec.json.encode(value).decode())
    if answering_tool:
        return _say(behaviour, index, text=phrase(chat.messages[-1].text(), index, answering_tool=True))
    return _say(behaviour, index)


def _say(behaviour: Behaviour, index: int, *, text: str | None = None) -> Speech:
    """Say a text; without one, repeat the prompt."""
    reasoning = tokenize(REASONING) if "reasoning" in behaviour.flags else ()
    if "refusal" in behaviour.flags:
        return Speech(reasoning=reasoning, refusal=tokenize(REFUSAL))
    if "empty" in behaviour.flags:
        return Speech()
    if behaviour.tokens is not None:
        return Speech(reasoning=reasoning[: behaviour.tokens], content=fill(behaviour.tokens - len(reasoning)))
    return Speech(reasoning=reasoning, content=tokenize(phrase(behaviour.text, index) if text is None else text))


def _choose_tools(chat: Chat, behaviour: Behaviour, answering_tool: bool) -> list[Function]:
    """Return the tools to call: those that a magic prompt asks for before any result is there, or that are required."""
    given = [tool.function for tool in chat.tools or () if tool.function is not None]
    by_name = {function.name: function for function in given}
    if not answering_tool and behaviour.tool is not None:
        return [by_name.get(behaviour.tool, Function(name=behaviour.tool))]
    if not answering_tool and behaviour.calls is not None and chat.parallel_tool_calls is not False:
        turns = given or [Function(name="sandbox_tool")]
        return [turns[place % len(turns)] for place in range(behaviour.calls)]
    if isinstance(chat.tool_choice, NamedTool) and chat.tool_choice.function.name:
        name = chat.tool_choice.function.name
        if name not in by_name:
            given_in, param = ("functions", "function_call") if chat.functions else ("tools", "tool_choice")
            raise InvalidRequest(f"Tool choice {name!r} not found in {given_in!r}.", param=param)
        return [by_name[name]]
    wanted = chat.tool_choice == "required" or (not answering_tool and behaviour.calls)
    return given[:1] if wanted else []


def _call(function: Function, call_id: str) -> ToolCall:
    value = invent({"type": "object"} if function.parameters is None else function.parameters)
    return ToolCall(id=call_id, name=function.name, arguments=tokenize(msgspec.json.encode(value).decode()))


def _share(call: Call, choices: int) -> int:
    """Return the most tokens that each choice may have."""
    if not 1 <= choices <= MAX_CHOICES:
        raise InvalidRequest(f"a reply has from 1 to {MAX_CHOICES} choices, not {choices}", param="n")
    fair = MAX_REPLY_TOKENS // choices
    return fair if call.max_tokens is None else min(call.max_tokens, fair)


def _finish(speech: Speech, stop: str | list[str] | None, behaviour: Behaviour, most: int) -> Speech:
    """End a speech where the request or a magic prompt ends it."""
    speech = stop_at(speech, [stop] if isinstance(stop, str) else stop or [])
    for reason in ("length", "content_filter"):
        if reason in behaviour.flags:
            speech = halve(speech, reason)
    return limit(speech, most)


def _deliver(
    call: Call, behaviour: Behaviour, head: frames.Head, speeches: Sequence[Speech], usage: frames.TokenUsage
) -> SandboxReply:
    chat = call.endpoint == "chat/completions"
    shown = None if "usage:none" in behaviour.flags else usage
    events: tuple[bytes, ...] | None = None
    body = b""
    if call.stream:
        events = (frames.stream_chat if chat else frames.stream_completion)(head, speeches, shown)
    else:
        body = (frames.render_chat if chat else frames.render_completion)(head, speeches, shown)
    metered = Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        reasoning_tokens=usage.completion_tokens_details.reasoning_tokens,
    )
    reply = SandboxReply(
        headers=(_JSON if events is None else _EVENTS,),
        body=body,
        events=events,
        delay_ms=behaviour.delay_ms,
        gap_ms=behaviour.gap_ms,
        usage=None if shown is None else metered,
    )
    return _disturb(reply, behaviour)


def _disturb(reply: SandboxReply, behaviour: Behaviour) -> SandboxReply:
    """Put the fault in that a magic prompt asks for."""
    faults: dict[str, Callable[[SandboxReply], SandboxReply]] = {
        "error:mid-stream": _break_with_error,
        "truncate": _truncate,
        "html": _show_page,
        "invalid-json": _break_json,
    }
    if behaviour.error_status is not None:
        return _fail(behaviour.error_status, behaviour.delay_ms)
    for flag, disturb in faults.items():
        if flag in behaviour.flags:
            return disturb(reply)
    return reply


def _fail(status: int, delay_ms: int) -> SandboxReply:
    error = ERRORS[status]
    retry = () if error.retry_after_s is None else (("retry-after", str(error.retry_after_s)),)
    body = frames.render_error(error.message, type=error.type, code=error.code)
    return SandboxReply(status=status, headers=(_JSON, *retry), body=body, delay_ms=delay_ms)


def _refuse(message: str, *, param: str | None) -> SandboxReply:
    body = frames.render_error(message, type="invalid_request_error", code="invalid_value", param=param)
    return SandboxReply(status=400, body=body)


def _param_of(message: str) -> str | None:
    """Return the field that msgspec's message names: ``… - at `$.tools[0].function` `` or ``… field `messages` ``."""
    _, found, path = message.partition("`$.")
    if not found:
        _, found, path = message.partition("field `")
    return path.split("`")[0].split(".")[0].split("[")[0] or None


def _break_with_error(reply: SandboxReply) -> SandboxReply:
    if reply.events is None:
        return _fail(500, reply.delay_ms)
    error = frames.render_error(ERRORS[500].message, type=ERRORS[500].type, code=ERRORS[500].code)
    events = (*reply.events[: _middle(reply.events)], b"data: " + error + b"\n\n")
    return msgspec.structs.replace(reply, events=events, usage=None)


def _truncate(reply: SandboxReply) -> SandboxReply:
    if reply.events is None:
        return msgspec.structs.replace(reply, body=reply.body[: len(reply.body) // 2], usage=None)
    return msgspec.structs.replace(reply, cut_after=_middle(reply.events), usage=None)


def _show_page(reply: SandboxReply) -> SandboxReply:
    headers = (("content-type", "text/html; charset=utf-8"),)
    return msgspec.structs.replace(reply, headers=headers, body=_HTML, events=None, usage=None)


def _break_json(reply: SandboxReply) -> SandboxReply:
    if reply.events is None:
        return msgspec.structs.replace(reply, body=reply.body[:-1] + b",", usage=None)
    middle = _middle(reply.events)
    events = (*reply.events[:middle], b'data: {"id": "broken", "choices": [\n\n', *reply.events[middle:])
    return msgspec.structs.replace(reply, events=events, usage=None)


def _middle(events: tuple[bytes, ...]) -> int:
    # At least the role and one token go out, so that a client has begun to read.
    return max(len(events) // 2, 2)
