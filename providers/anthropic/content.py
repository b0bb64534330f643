"""One part of a message's content, from OpenAI's words to an Anthropic content block.

Formats: https://platform.claude.com/docs/en/api/messages/create (read 2026-11-21).
"""

import base64
import binascii
from collections.abc import Callable

import msgspec

from providers.anthropic.parameters import is_given, read_raw
from providers.errors import Unsupported

_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_DATA = "data:"
_PDF = "application/pdf"


class Text(msgspec.Struct, frozen=True, kw_only=True, tag="text", tag_field="type", omit_defaults=True):
    """A text block."""

    text: str
    cache_control: msgspec.Raw | None = None


class Base64Source(msgspec.Struct, frozen=True, kw_only=True, tag="base64", tag_field="type"):
    """Bytes of an image or a PDF."""

    media_type: str
    data: str


class TextSource(msgspec.Struct, frozen=True, kw_only=True, tag="text", tag_field="type"):
    """A plain text document."""

    data: str
    media_type: str = "text/plain"


class UrlSource(msgspec.Struct, frozen=True, kw_only=True, tag="url", tag_field="type"):
    """An image or a PDF that Anthropic fetches itself."""

    url: str


class FileSource(msgspec.Struct, frozen=True, kw_only=True, tag="file", tag_field="type"):
    """A file of Anthropic's Files API."""

    file_id: str


Source = Base64Source | TextSource | UrlSource | FileSource


class Image(msgspec.Struct, frozen=True, kw_only=True, tag="image", tag_field="type", omit_defaults=True):
    """An image block."""

    source: Source
    cache_control: msgspec.Raw | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True, tag="document", tag_field="type", omit_defaults=True):
    """A document block: PDF or plain text."""

    source: Source
    title: str | None = None
    cache_control: msgspec.Raw | None = None


class ToolUse(msgspec.Struct, frozen=True, kw_only=True, tag="tool_use", tag_field="type", omit_defaults=True):
    """A call of a tool; ``input`` is the JSON that the caller sent back, byte for byte."""

    id: str
    name: str
    input: msgspec.Raw
    cache_control: msgspec.Raw | None = None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag="tool_result", tag_field="type", omit_defaults=True):
    """What a tool answered."""

    tool_use_id: str
    content: "str | list[Block]" = ""
    is_error: bool = False
    cache_control: msgspec.Raw | None = None


# Raw: a block that is Anthropic's own already.
Block = Text | Image | Document | ToolUse | ToolResult | msgspec.Raw


class _ImageUrl(msgspec.Struct, frozen=True):
    url: str
    detail: str | None = None


class _File(msgspec.Struct, frozen=True):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: _ImageUrl | str | None = None
    file: _File | None = None
    cache_control: msgspec.Raw = msgspec.Raw()


def encode_part(raw: msgspec.Raw, where: str, dropped: list[str]) -> Block | None:
    """Say one part of a content; None for empty text, which Anthropic refuses. Raises Unsupported, naming ``where``."""
    kind = read_raw(raw, where, _Kind).type
    encode = _PARTS.get(kind)
    if encode is not None:
        return encode(read_raw(raw, where, _Part), where, dropped)
    if kind in _NATIVE or kind.endswith("_tool_result"):
        return raw
    raise Unsupported(f"{where} has type {kind!r}, which Anthropic's models do not take", param=where)


def mark(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A cache_control as a block's member: None where none was sent."""
    return raw if is_given(raw) else None


class _Kind(msgspec.Struct, frozen=True):
    type: str


def _text(part: _Part, where: str, dropped: list[str]) -> Block | None:
    text = part.text or part.refusal
    return Text(text=text, cache_control=mark(part.cache_control)) if text else None


def _image(part: _Part, where: str, dropped: list[str]) -> Block:
    given = part.image_url
    if given is None:
        raise Unsupported(f"{where} is an image without image_url", param=where)
    if not isinstance(given, str) and given.detail not in (None, "auto"):
        dropped.append("image_url.detail")
    url = given if isinstance(given, str) else given.url
    return _place(url, where, None, mark(part.cache_control))


def _file(part: _Part, where: str, dropped: list[str]) -> Block:
    file = part.file or _File()
    cache_control = mark(part.cache_control)
    if file.file_id:
        return Document(source=FileSource(file_id=file.file_id), title=file.filename, cache_control=cache_control)
    if not file.file_data:
        raise Unsupported(f"{where} is a file with neither file_data nor file_id", param=where)
    data = file.file_data
    if data[:8].lower().startswith(("http://", "https://")):
        return Document(source=UrlSource(url=data), title=file.filename, cache_control=cache_control)
    url = data if _is_data(data) else f"data:{_PDF};base64,{data}"
    return _place(url, where, file.filename, cache_control)


def _is_data(url: str) -> bool:
    """Whether an address holds what it stands for; schemes have no case."""
    return url[: len(_DATA)].lower() == _DATA


def _place(url: str, where: str, title: str | None, cache_control: msgspec.Raw | None) -> Block:
    if not _is_data(url):
        return Image(source=UrlSource(url=url), cache_control=cache_control)
    head, _, data = url[len(_DATA) :].partition(",")
    head = head.lower()
    media_type = head.partition(";")[0].replace("image/jpg", "image/jpeg")
    if not head.endswith(";base64"):
        raise Unsupported(f"{where} is a data URL that is not base64: {url[:40]!r}", param=where)
    if media_type in _IMAGE_TYPES:
        return Image(source=Base64Source(media_type=media_type, data=data), cache_control=cache_control)
    if media_type == _PDF:
        source: Source = Base64Source(media_type=media_type, data=data)
    elif media_type.startswith("text/"):
        source = TextSource(data=_read_text(data, where))
    else:
        kinds = ", ".join([*sorted(_IMAGE_TYPES), _PDF, "text/*"])
        raise Unsupported(f"{where} has media type {media_type!r}; Anthropic takes {kinds}", param=where)
    return Document(source=source, title=title, cache_control=cache_control)


def _read_text(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unsupported(f"{where} is no base64 of UTF-8 text: {error}", param=where) from None


_PARTS: dict[str, Callable[[_Part, str, list[str]], Block | None]] = {
    "text": _text,
    "refusal": _text,
    "image_url": _image,
    "file": _file,
}
_NATIVE = frozenset(
    {
        "image",
        "document",
        "search_result",
        "tool_reference",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "server_tool_use",
        "mcp_tool_use",
        "container_upload",
        "compaction",
    }
)
