"""What a call may ask for whose cost no bound covers; where a budget governs, such a call is refused.

Also what of a body counts towards the bound besides its length: images and tools.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from providers.wire import Call


class Exclusion(msgspec.Struct, frozen=True):
    """A row: what stands in the body, and why nobody can say beforehand what it costs at most."""

    name: str
    reason: str
    members: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


EXCLUSIONS: tuple[Exclusion, ...] = (
    Exclusion(
        "media_by_reference",
        "what files, documents, videos and embeddings hold is not in the request",
        parts=(
            "file",
            "document",
            "document_url",
            "video_url",
            "input_video",
            "audio_url",
            "image_embeds",
            "audio_embeds",
        ),
    ),
    Exclusion("web_search", "searches are billed by the piece", ("web_search_options", "search_parameters", "plugins")),
    Exclusion(
        "server_tools",
        "tools that the provider runs add input and fees of their own",
        ("mcp_servers", "container"),
    ),
    Exclusion(
        "other_models",
        "the provider may answer from a dearer model or host",
        ("models", "route", "provider", "preset"),
    ),
    Exclusion("prediction", "rejected predictions are billed beyond max_tokens", ("prediction",)),
    Exclusion("best_of", "more answers are produced than returned", ("best_of",)),
)
_BY_MEMBER = {member: exclusion for exclusion in EXCLUSIONS for member in exclusion.members}
_BY_PART = {part: exclusion for exclusion in EXCLUSIONS for part in exclusion.parts}
_SERVER_TOOLS = next(exclusion for exclusion in EXCLUSIONS if exclusion.name == "server_tools")
# Tools that the caller runs itself.
_OWN_TOOLS = frozenset({"function", "custom"})
# What may be billed at a rate of its own, see gateway.budgets.bound; "1h" is how long a provider's cache may keep.
_RARE = ("1h", "audio", "input_audio", "modalities")


def _compile_words(names: Iterable[str]) -> re.Pattern[bytes]:
    """Match any of the names in quotes; by their first letters, since every quote of a body is tried."""
    rests: dict[str, list[str]] = {}
    for name in sorted(names):
        rests.setdefault(name[0], []).append(name[1:])
    words = "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in rests.items())
    return re.compile(f'"(?:{words})"'.encode())


# Any of these words, or a name written with escapes, and the body is read more closely. Two patterns: one that begins
# with a fixed byte is found three times as fast.
_SUSPICIOUS = _compile_words((*_BY_MEMBER, *_BY_PART, *_RARE, "image_url", "tools", "functions"))
# ASCII letters, digits and the underscore written as \u00XX, which no encoder does: a word may be hidden.
_ESCAPE = b"\\u00"
_HIDDEN_WORDS = re.compile(rb"\\u00(?:3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])")


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the bound of a call needs to know of its body."""

    images: int = 0
    has_tools: bool = False
    excluded: tuple[Exclusion, ...] = ()
    # Words may be written so that the bytes do not show them: what is looked for by its bytes may be there.
    hides_words: bool = False


# Of a body that has none of the words; it can cause no rate but those that every call can.
PLAIN = Shape()


class _Message(msgspec.Struct, frozen=True):
    content: Any = None


class _Tool(msgspec.Struct, frozen=True):
    type: Any = "function"


class _Body(msgspec.Struct, frozen=True):
    messages: list[_Message] | None = None
    tools: list[_Tool] | None = None
    functions: list[Any] | None = None


_NAMES = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BODY = msgspec.json.Decoder(_Body)


def read_shape(call: Call) -> Shape:
    """Read what a checked body asks for; most need none, and others one scan."""
    if call.is_plain:
        return PLAIN
    hides_words = call.body.find(_ESCAPE) >= 0 and _HIDDEN_WORDS.search(call.body) is not None
    if not hides_words and _SUSPICIOUS.search(call.body) is None:
        return PLAIN
    given = _NAMES.decode(call.body)
    found = [exclusion for name, exclusion in _BY_MEMBER.items() if bytes(given.get(name, b"null")) != b"null"]
    if call.endpoint != "chat/completions":
        return Shape(excluded=_each_once(found), hides_words=hides_words)
    try:
        body = _BODY.decode(call.body)
    except msgspec.ValidationError:
        # Tools of another shape than any that we know.
        return Shape(has_tools=True, excluded=_each_once([*found, _SERVER_TOOLS]), hides_words=hides_words)
    parts = [part.get("type") for message in body.messages or () for part in _parts_of(message)]
    found += [_BY_PART[kind] for kind in parts if kind in _BY_PART]
    found += [_SERVER_TOOLS for tool in body.tools or () if tool.type not in _OWN_TOOLS]
    return Shape(
        images=parts.count("image_url"),
        has_tools=bool(body.tools or body.functions),
        excluded=_each_once(found),
        hides_words=hides_words,
    )


def _parts_of(message: _Message) -> list[dict[str, Any]]:
    content = message.content
    return msgspec.convert(content, list[dict[str, Any]]) if isinstance(content, list) else []


def _each_once(found: list[Exclusion]) -> tuple[Exclusion, ...]:
    return tuple(dict.fromkeys(found))
