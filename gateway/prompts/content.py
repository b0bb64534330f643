"""What is kept of a call: its messages and its answer as text, each within a bound. Pure.

Failure behavior: what cannot be read is left out; nothing raises.
"""

import zlib
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from providers.openai.chunk import CHUNK
from providers.openai.reply import BROKEN_JSON, REPLY, say, strings_in
from providers.openai.template import PREFIX, SEPARATOR

# Of the messages together, and of the answer, in UTF-8.
MAX_TEXT_BYTES = 65_536
MAX_ROLE_CHARS = 64
# What an answer that is given again has in place of its name; see providers.openai.recorded.
_MARK, _NAMELESS = b"\0", b'"id":""'


class Said(msgspec.Struct, frozen=True):
    """One message; parts that are no text are named in brackets."""

    role: str
    text: str


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked and answered."""

    messages: list[Said]
    # Older ones that were left out.
    omitted_messages: int
    # None: there was no answer, or it was no text.
    answer: str | None
    # A message or the answer is not there to its end.
    is_cut: bool


class Streamed(msgspec.Struct, frozen=True):
    """An answer as the events that went to the client, and the chunk that was held back of them."""

    events: bytes
    held: bytes


class _Asked(msgspec.Struct, frozen=True):
    messages: Any = None
    prompt: Any = None
    input: Any = None


_ASKED = msgspec.json.Decoder(_Asked)
_LOOSE = msgspec.json.Decoder(dict[str, Any])
_CONTENT = msgspec.json.Decoder(Content)


def read_content(endpoint: str, body: bytes, answer: bytes | Streamed | str | None) -> Content:
    """Make what is kept of a request's body and of its answer: whole, as a stream was, or its text."""
    messages, omitted, is_cut = _bound(_read_messages(body))
    if endpoint == "embeddings" or answer is None:
        text = None
    elif isinstance(answer, str):
        text = answer
    else:
        text = _read_stream(answer) if isinstance(answer, Streamed) else _read_body(answer)
    kept = None if text is None else _cut(text, MAX_TEXT_BYTES)
    return Content(messages=messages, omitted_messages=omitted, answer=kept, is_cut=is_cut or kept != text)


def pack(content: Content) -> bytes:
    """Write it for the vault."""
    return zlib.compress(msgspec.json.encode(content), 1)


def unpack(packed: bytes) -> Content:
    """Read what ``pack`` wrote."""
    return _CONTENT.decode(zlib.decompress(packed))


def _read_messages(body: bytes) -> list[Said]:
    try:
        asked = _ASKED.decode(body)
    except BROKEN_JSON:
        return []
    if _items(asked.messages):
        return [_read_message(message) for message in _objects(asked.messages)]
    given = asked.input if asked.prompt is None else asked.prompt
    items = _items(given)
    if any(isinstance(item, str) for item in items):
        return [Said("user", _text(item)) for item in items]
    return [] if given is None else [Said("user", _text(given))]


def _items(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []  # type: ignore[redundant-cast]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in _items(value) if isinstance(item, dict)]


def _read_message(message: dict[str, Any]) -> Said:
    said: list[str] = []
    content = message.get("content")
    if isinstance(content, list):
        said += map(_read_part, _items(content))
    elif content is not None:
        said.append(_text(content))
    if isinstance(message.get("refusal"), str):
        said.append(message["refusal"])
    called = [message.get("function_call"), *[call.get("function") for call in _objects(message.get("tool_calls"))]]
    for function in _objects(called):
        said.append(f"{_text(function.get('name'))}({_text(function.get('arguments'))})")
    return Said(_text(message.get("role"))[:MAX_ROLE_CHARS], "\n".join(said))


def _read_part(part: Any) -> str:
    """A part's text; what is none, such as an image, by its type alone."""
    if not isinstance(part, dict):
        return _text(part)
    known = cast("dict[str, Any]", part)
    for name in ("text", "refusal"):
        if isinstance(known.get(name), str):
            return str(known[name])
    return f"[{_text(known.get('type'))[:MAX_ROLE_CHARS]}]"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _bound(messages: Sequence[Said]) -> tuple[list[Said], int, bool]:
    """The newest messages that fit, how many are left out before them, and whether one is cut."""
    kept: list[Said] = []
    left = MAX_TEXT_BYTES
    for message in reversed(messages):
        size = len(_encode(message.text)) + len(_encode(message.role))
        if size > left:
            break
        kept.append(message)
        left -= size
    if messages and not kept:
        newest = messages[-1]
        return [Said(newest.role, _cut(newest.text, MAX_TEXT_BYTES))], len(messages) - 1, True
    return kept[::-1], len(messages) - len(kept), False


def _read_body(body: bytes) -> str | None:
    body = body.replace(_MARK, _NAMELESS, 1)
    try:
        choices = REPLY.decode(body).choices or ()
    except msgspec.ValidationError:
        # Of unusual types, such as content in parts.
        return "\n".join(strings_in(_LOOSE.decode(body).get("choices")))
    except BROKEN_JSON:
        return None
    said: list[str] = []
    for choice in choices:
        if choice.message is not None:
            say(choice.message, said)
        if choice.text:
            said.append(choice.text)
    return "\n".join(said)


def _read_stream(stream: Streamed) -> str:
    said: list[str] = []
    for event in [*stream.events.split(SEPARATOR), PREFIX + stream.held]:
        if not event.startswith(PREFIX):
            continue
        try:
            chunk = CHUNK.decode(event.removeprefix(PREFIX).replace(_MARK, _NAMELESS, 1))
        except BROKEN_JSON:
            continue
        for choice in chunk.choices or ():
            if choice.delta is not None:
                say(choice.delta, said)
            elif choice.text:
                said.append(choice.text)
    return "".join(said)


def _cut(text: str, max_bytes: int) -> str:
    """A text's beginning, never a part of a character; what no UTF-8 can say is a question mark."""
    written = _encode(text)
    return (
        text
        if len(written) <= max_bytes and written.decode() == text
        else written[:max_bytes].decode("utf-8", "ignore")
    )


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")
