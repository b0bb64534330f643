"""An answer kept for later: whole or as the stream that it was, and made into either when it is given again.

Where an answer named itself and its time, a mark stands instead, so that each time it is given it gets its own. The
mark is a NUL, which no JSON holds bare.

Failure behavior: what cannot be read as an answer of OpenAI's shapes raises InvalidAnswer; it is not kept then.
"""

import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from providers.errors import InvalidAnswer
from providers.openai.reply import BROKEN_JSON, REPLY, ChoiceWire, MessageWire
from providers.openai.template import PREFIX, SEPARATOR

MARK = b"\0"
# What stands in its place where the answer is read.
_NO_NAME = b'"id":""'
# What every answer has anew.
_OWN_NAMES = frozenset({"id", "created"})
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode
# What comes in pieces in a stream's deltas and is said by putting them one behind the other.
_JOINED = frozenset({
    "content", "refusal", "reasoning", "reasoning_content", "arguments", "name", "transcript", "data",
})  # fmt: skip
# What only a stream's chunks have.
_CHUNKS_OWN = frozenset({"object", "choices", "obfuscation"})

Json = dict[str, Any]
# A text, or parts.
Content = str | list[Any]


class Recorded(msgspec.Struct, kw_only=True):
    """An answer: ``body`` of one that came whole; ``events``, ``held`` and ``usage_chunk`` of one that was a stream.

    What is needed to give it again is made when it is first asked for, and kept.
    """

    endpoint: str
    body: bytes | None = None
    # Server-sent events but for the last chunk with a finish_reason, which is held for the figures, and the usage's.
    events: bytes | None = None
    held: bytes | None = None
    usage_chunk: bytes | None = None
    # The form that it came in has the mark.
    is_marked: bool = False
    # It was read and found whole.
    is_proven: bool = False
    # It calls tools, which not every policy lets be given again; known once it is proven.
    has_calls: bool = False

    @property
    def size(self) -> int:
        """Bytes of what is kept."""
        whole = len(self.body) if self.body is not None else 0
        if self.held is None:
            return whole
        return whole + len(self.events or b"") + len(self.held) + len(self.usage_chunk or b"")

    def as_body(self, name: str, created_s: int) -> bytes:
        """The answer whole, with a name and time of its own."""
        if not self.is_marked:
            self._mark()
        if self.body is None:
            self.body = _mark(_encode(fold(self._chunks(), self.endpoint)))
        return self.body.replace(MARK, _own(self.endpoint, name, created_s))

    def as_stream(self, name: str, created_s: int) -> tuple[bytes, bytes, bytes | None]:
        """The answer as events, the chunk to be held and the usage's chunk, with a name and time of its own."""
        if not self.is_marked:
            self._mark()
        if self.held is None:
            assert self.body is not None, "it came in one of the two forms"  # noqa: S101 - for the type checkers
            *first, held, usage = map(_encode, unfold(_ANY.decode(self.body.replace(MARK, _NO_NAME, 1)), self.endpoint))
            self.events = b"".join([PREFIX + _mark(chunk) + SEPARATOR for chunk in first])
            self.held, self.usage_chunk = _mark(held), _mark(usage)
        own = _own(self.endpoint, name, created_s)
        return (
            (self.events or b"").replace(MARK, own),
            self.held.replace(MARK, own),
            None if self.usage_chunk is None else self.usage_chunk.replace(MARK, own),
        )

    def _mark(self) -> None:
        """Put the mark into the form that it came in."""
        if self.body is not None and self.endpoint != "embeddings":
            self.body = _mark(self.body)
        if self.held is not None:
            chunks = [PREFIX + _mark(event.removeprefix(PREFIX)) + SEPARATOR for event in _events(self.events or b"")]
            self.events, self.held = b"".join(chunks), _mark(self.held)
            self.usage_chunk = None if self.usage_chunk is None else _mark(self.usage_chunk)
        self.is_marked = True

    def _chunks(self) -> list[Json]:
        parts = [event.removeprefix(PREFIX) for event in _events(self.events or b"")]
        parts += [part for part in (self.held, self.usage_chunk) if part is not None]
        return [_ANY.decode(part.replace(MARK, _NO_NAME, 1)) for part in parts]


def record_body(endpoint: str, body: bytes) -> Recorded:
    """Keep a whole answer."""
    return Recorded(endpoint=endpoint, body=body)


def record_stream(endpoint: str, events: bytes, held: bytes, usage_chunk: bytes | None) -> Recorded:
    """Keep a stream as it went to the client, and what was held back of it."""
    return Recorded(endpoint=endpoint, events=events, held=held, usage_chunk=usage_chunk)


def seems_whole(recorded: Recorded, *, allows_calls: bool) -> bool:
    """Whether the end of an answer, just recorded, says that it is complete, and that it called only tools it may.

    Most answers are never asked for again: what it takes to read all of one waits until it is, see ``is_whole``.
    """
    if recorded.endpoint == "embeddings":
        return True
    said = recorded.body or recorded.held or b""
    # It stands behind what is said, which the pattern would go through twenty times as slowly.
    start = said.find(_FINISH_NAME)
    found = _FINISH.findall(said, start) if start >= 0 else ()
    return bool(found) and _WHOLE_ENDS[allows_calls].issuperset(found)


def is_whole(recorded: Recorded, choices: int, *, allows_calls: bool) -> bool:
    """Whether an answer, given before or not, is complete and unfiltered in each choice, and calls only tools it may.

    A stream is judged by its bytes, since reading each chunk again would cost more than relaying it did.
    """
    if recorded.endpoint == "embeddings":
        return True
    ends = _CALLING_ENDS if allows_calls else _ENDS
    if recorded.body is not None:
        # Who shared the call may have been given it before: then it has the mark.
        body = recorded.body.replace(MARK, _NO_NAME, 1) if recorded.is_marked else recorded.body
        try:
            answer = REPLY.decode(body)
        except BROKEN_JSON:
            # Of unusual types: it went to its caller as it was, and is not given to others.
            return False
        return (
            len(answer.choices or ()) == choices
            and all([_is_whole(choice, ends) for choice in answer.choices or ()])
            and _FILTERED.search(body) is None
        )
    events, held = recorded.events or b"", recorded.held or b""
    found = [*_FINISH.findall(events), *_FINISH.findall(held)]
    return (
        len(found) == choices
        and all(end.decode("utf-8", "replace") in ends for end in found)
        and not any([pattern.search(part) for pattern in (_REFUSED, _FILTERED) for part in (events, held)])
        and (allows_calls or not any([pattern.search(part) for pattern in _CALLS for part in (events, held)]))
    )


_ENDS = frozenset({"stop"})
_CALLING_ENDS = frozenset({"stop", "tool_calls"})
_WHOLE_ENDS = {False: frozenset({b"stop"}), True: frozenset({b"stop", b"tool_calls"})}
_FINISH_NAME = b'"finish_reason"'
_FINISH = re.compile(_FINISH_NAME + rb':\s*"([^"]+)"')
# Each begins with fixed bytes, which are found many times faster than one of several.
_CALLS = (re.compile(rb'"tool_calls":\s*\[\s*\{'), re.compile(rb'"function_call":\s*\{'))
_REFUSED = re.compile(rb'"refusal":\s*"[^"]')
_FILTERED = re.compile(rb'"filtered":\s*true')


def _is_whole(choice: ChoiceWire, ends: frozenset[str]) -> bool:
    message = choice.message or MessageWire(content=choice.text)
    calls = bool(message.tool_calls or message.function_call)
    says = ends is _CALLING_ENDS if calls else bool(message.content)
    return says and choice.finish_reason in ends and not message.refusal


def _events(data: bytes) -> Iterator[bytes]:
    """Whole events without what ends them; raises InvalidAnswer for one that is not one line of data."""
    for event in data.split(SEPARATOR):
        if event.startswith(PREFIX):
            yield event
        elif event.strip() and not event.startswith(b":"):
            raise InvalidAnswer("an event of the stream is not one line of data")


def _mark(body: bytes) -> bytes:
    """Put the mark in place of what every answer has anew; what has neither name nor time stays as it is."""
    try:
        members = _MEMBERS.decode(body)
    except BROKEN_JSON as broken:
        raise InvalidAnswer(f"an answer to be kept is not JSON: {broken}") from broken
    if not members.keys() & _OWN_NAMES:
        return body
    rest = [b"%b:%b" % (_encode(name), value) for name, value in members.items() if name not in _OWN_NAMES]
    return b"{%b}" % b",".join([MARK, *rest])


def _own(endpoint: str, name: str, created_s: int) -> bytes:
    prefix = b"chatcmpl" if endpoint == "chat/completions" else b"cmpl"
    return b'"id":"%b-%b","created":%d' % (prefix, name.encode(), created_s)


def _objects(value: Any) -> list[Json]:
    if not isinstance(value, list):
        return []
    items = cast("list[Any]", value)  # type: ignore[redundant-cast]
    return [item for item in items if isinstance(item, dict)]


def fold(chunks: list[Json], endpoint: str) -> Json:
    """One whole answer of a stream's chunks."""
    is_chat = endpoint == "chat/completions"
    choices: dict[int, Json] = {}
    calls: dict[int, dict[Any, Json]] = {}
    body: Json = {"id": "", "object": "chat.completion" if is_chat else "text_completion"}
    for chunk in chunks:
        body |= {name: value for name, value in chunk.items() if name not in _CHUNKS_OWN}
        for part in _objects(chunk.get("choices")):
            index = part.get("index")
            number = index if isinstance(index, int) else 0
            _fold_choice(choices.setdefault(number, {}), calls.setdefault(number, {}), part)
    for number, choice in choices.items():
        if is_chat:
            choice.setdefault("message", {"role": "assistant", "content": None})
        if calls[number]:
            choice["message"]["tool_calls"] = [calls[number][index] for index in sorted(calls[number])]
    body["choices"] = [{"index": index, **choices[index]} for index in sorted(choices)]
    return body


def _fold_choice(choice: Json, calls: dict[Any, Json], part: Json) -> None:
    for name, value in part.items():
        if name == "delta":
            message = choice.setdefault("message", {"role": "assistant", "content": None})
            delta = dict(cast("Json", value)) if isinstance(value, dict) else {}
            for call in _objects(delta.pop("tool_calls", None)):
                said = {known: part for known, part in call.items() if known != "index"}
                _join(calls.setdefault(_place(calls, call), {}), said)
            _join(message, delta)
        elif name == "text":
            choice["text"] = choice.get("text", "") + (value or "")
        elif name == "logprobs" and isinstance(choice.get(name), dict) and isinstance(value, dict):
            _join(choice[name], cast("Json", value))
        elif name == "finish_reason":
            # Empty, it is none.
            choice[name] = value or choice.get(name)
        elif name != "index" and (value is not None or name not in choice):
            choice[name] = value


def _place(calls: dict[Any, Json], call: Json) -> tuple[int, int]:
    """Which call of a tool a part belongs to: that of its index, the last one where several say the same index.

    Some providers leave the index out, or give each call the same: there a new id begins a new call.
    """
    index = call.get("index")
    number = index if isinstance(index, int) else 0
    turn = max((known for place, known in calls if place == number), default=0)
    begun, call_id = calls.get((number, turn), {}).get("id"), call.get("id")
    return number, turn + 1 if begun and call_id and begun != call_id else turn


def _join(whole: Json, part: Json) -> None:
    """Add the next part of a message, a call or its logprobs: texts and lists go on, all else is said anew."""
    for name, value in part.items():
        known = whole.get(name)
        if name == "content" and isinstance(known, list | str) and isinstance(value, list | str):
            whole[name] = _join_content(cast("Any", known), cast("Any", value))
        elif isinstance(known, str) and isinstance(value, str) and name in _JOINED:
            whole[name] = known + value
        elif isinstance(known, dict) and isinstance(value, dict):
            _join(cast("Json", known), cast("Json", value))
        elif isinstance(known, list) and isinstance(value, list):
            whole[name] = known + value
        elif value is not None or name not in whole:
            whole[name] = value


def _join_content(known: Content, value: Content) -> Content:
    """Put two pieces of content together: texts to a text, and a text beside parts as a part.

    Mistral's streams think in parts and answer in text (https://docs.mistral.ai/capabilities/reasoning, 2026-11-28).
    """
    if not (known and value):
        return known or value
    if isinstance(known, str) and isinstance(value, str):
        return known + value
    parts = _as_parts(known)
    last = cast("Json", parts[-1]) if isinstance(parts[-1], dict) else {}
    if isinstance(value, str) and last.get("type") == "text":
        return [*parts[:-1], {**last, "text": str(last.get("text") or "") + value}]
    return parts + _as_parts(value)


def _as_parts(content: Content) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def unfold(body: Json, endpoint: str) -> list[Json]:
    """A stream's chunks of a whole answer; the last but one has the last finish_reason, the last the usage.

    What the answer calls itself tells nothing: some servers leave that out, or name each answer a chat's.
    """
    is_chat = endpoint == "chat/completions"
    kind = "chat.completion.chunk" if is_chat else "text_completion"
    base: Json = {name: value for name, value in body.items() if name not in {"choices", "usage"}} | {"object": kind}
    said: list[Json] = []
    ends: list[Json] = []
    for choice in _objects(body.get("choices")):
        index = choice.get("index", 0)
        rest = {n: v for n, v in choice.items() if n not in {"index", "message", "text", "finish_reason"}}
        end: Json = {"index": index, "logprobs": None, "finish_reason": choice.get("finish_reason")}
        if is_chat:
            *before, last = _deltas(choice)
            said += [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None} for delta in before]
            said.append({"index": index, **rest, "delta": last, "finish_reason": None})
            ends.append({**end, "delta": {}})
        else:
            said.append({"index": index, **rest, "text": choice.get("text"), "finish_reason": None})
            ends.append({**end, "text": ""})
    if not ends:
        raise InvalidAnswer("the answer has no choices")
    chunks = [{**base, "choices": [part]} for part in [*said, *ends]]
    return [*chunks, {**base, "choices": [], "usage": body.get("usage")}]


def _deltas(choice: Json) -> list[Json]:
    """What a message says: who speaks, what was thought, and then all else."""
    message = dict(cast("Json", choice.get("message") or {}))
    first: Json = {"role": message.pop("role", "assistant"), "content": ""}
    thought = {name: message.pop(name) for name in ("reasoning", "reasoning_content") if message.get(name)}
    calls = _objects(message.get("tool_calls"))
    if calls:
        message["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
    said = {name: value for name, value in message.items() if value is not None}
    return [first, *([thought] if thought else []), said]
