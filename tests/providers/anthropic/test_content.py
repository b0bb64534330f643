"""One part of a message's content."""

import base64
from typing import Any

import msgspec
import pytest

from providers.anthropic.content import encode_part
from providers.errors import Unsupported

TEXT = base64.b64encode("héllo".encode()).decode()


def encode(part: dict[str, Any], dropped: list[str] | None = None) -> Any:
    """Encode a part and parse what became of it."""
    raw = msgspec.Raw(msgspec.json.encode(part))
    return msgspec.json.decode(msgspec.json.encode(encode_part(raw, "here", [] if dropped is None else dropped)))


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "text", "text": "hi"}, {"type": "text", "text": "hi"}),
        ({"type": "refusal", "refusal": "no"}, {"type": "text", "text": "no"}),
        (
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        ),
        (
            {"type": "image_url", "image_url": "data:image/png;base64,QUJD"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        ),
        (
            {"type": "image_url", "image_url": "DATA:IMAGE/PNG;BASE64,QUJD"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        ),
        (
            {"type": "file", "file": {"file_data": "HTTPS://x.test/A.pdf"}},
            {"type": "document", "source": {"type": "url", "url": "HTTPS://x.test/A.pdf"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,QUJD"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
                "title": "a.pdf",
            },
        ),
        (
            {"type": "file", "file": {"file_data": "QUJD"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}},
        ),
        (
            {"type": "file", "file": {"file_data": f"data:text/markdown;base64,{TEXT}"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "héllo"}},
        ),
        (
            {"type": "file", "file": {"file_data": "https://x.test/a.pdf"}},
            {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
        ),
        (
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        ),
    ],
)
def test_a_part_has_its_block(part: dict[str, Any], block: dict[str, Any]) -> None:
    """Text, images and files by URL, by data and by id."""
    assert encode(part) == block


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": "https://x.test/a.png"},
        {"type": "file", "file": {"file_id": "file_1"}},
    ],
)
def test_cache_control_is_kept_byte_for_byte(part: dict[str, Any]) -> None:
    """A breakpoint that moved or changed would cost the prompt cache."""
    raw = msgspec.json.encode(part)[:-1] + b',"cache_control":{"ttl" : "1h","type":"ephemeral"}}'
    block = encode_part(msgspec.Raw(raw), "here", [])
    assert b'"cache_control":{"ttl" : "1h","type":"ephemeral"}' in msgspec.json.encode(block)


@pytest.mark.parametrize(
    "kind", ["document", "search_result", "thinking", "web_search_tool_result", "container_upload"]
)
def test_a_block_of_anthropics_own_passes_byte_for_byte(kind: str) -> None:
    """Who knows the Messages API may speak it."""
    raw = msgspec.Raw(b'{"type": "%b", "x": 1.50}' % kind.encode())
    assert encode_part(raw, "here", []) is raw


def test_empty_text_becomes_nothing() -> None:
    """Anthropic refuses empty text blocks, OpenAI takes them."""
    assert encode({"type": "text", "text": ""}) is None


@pytest.mark.parametrize(("detail", "dropped"), [("low", ["image_url.detail"]), ("auto", []), (None, [])])
def test_the_detail_of_an_image_is_dropped_and_named(detail: str | None, dropped: list[str]) -> None:
    """Anthropic scales images by itself."""
    named: list[str] = []
    encode({"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": detail}}, named)
    assert named == dropped


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
        {"type": "image_url"},
        {"type": "image_url", "image_url": {"url": 7}},
        {"type": "image_url", "image_url": "data:image/tiff;base64,QUJD"},
        {"type": "image_url", "image_url": "data:image/png,raw"},
        {"type": "file", "file": {}},
        {"type": "file"},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,%%%"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}},
        {"text": "no type"},
    ],
)
def test_what_claude_cannot_take_names_its_place(part: dict[str, Any]) -> None:
    """The caller learns which part to change."""
    with pytest.raises(Unsupported) as caught:
        encode(part)
    assert caught.value.param == "here"
