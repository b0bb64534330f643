"""The members of a stream's chunk that the gateway reads, by how usual its types are, and the errors that it may be."""

from typing import Any, cast

import msgspec

from providers.errors import ProviderError
from providers.openai.reply import BROKEN_JSON, ChoiceWire, error_in_success
from providers.openai.usage import UsageWire

DONE = b"[DONE]"


class GroqWire(msgspec.Struct, frozen=True, gc=False):
    """Groq's own member of the last chunk. Source: https://console.groq.com/docs/api-reference (2026-11-21)."""

    usage: UsageWire | None = None


class ChunkWire(msgspec.Struct, frozen=True, gc=False):
    """The members of a chunk that the gateway reads."""

    choices: list[ChoiceWire] | None = None
    usage: UsageWire | None = None
    error: Any = None
    x_groq: GroqWire | None = None
    service_tier: str | None = None


class OddUsageChunk(msgspec.Struct, frozen=True, gc=False):
    """A chunk that is as usual but for what surrounds its choices."""

    choices: list[ChoiceWire] | None = None
    usage: Any = None
    error: Any = None
    x_groq: dict[str, Any] | None = None


class LooseChoice(msgspec.Struct, frozen=True):
    """A choice of which nothing is expected."""

    index: Any = None
    delta: Any = None
    finish_reason: Any = None


class LooseChunk(msgspec.Struct, frozen=True):
    """A chunk whose members may have any type."""

    choices: list[LooseChoice] | None = None
    usage: Any = None
    error: Any = None


CHUNK = msgspec.json.Decoder(ChunkWire)
ODD_USAGE_CHUNK = msgspec.json.Decoder(OddUsageChunk)
LOOSE_CHUNK = msgspec.json.Decoder(LooseChunk)
ANY = msgspec.json.Decoder()


def find_bare_error(data: bytes) -> ProviderError | None:
    """The error that a chunk without choices is, as vLLM sends it: an object that calls itself one."""
    if data.find(b'"error"') < 0:
        return None
    try:
        told = ANY.decode(data)
    except BROKEN_JSON:
        return None
    is_error = isinstance(told, dict) and cast("dict[str, Any]", told).get("object") == "error"
    return error_in_success(told) if is_error else None


def read_named_error(data: bytes) -> ProviderError:
    """The error of an event that is called so, with or without a member of that name."""
    try:
        told = ANY.decode(data)
    except BROKEN_JSON:
        told = data.decode("utf-8", "replace").strip()
    return error_in_success(cast("dict[str, Any]", told).get("error", told) if isinstance(told, dict) else told)


def is_json(data: bytes) -> bool:
    if data.strip().upper() == DONE:
        return True
    try:
        ANY.decode(data)
    except BROKEN_JSON:
        return False
    return True


def with_deltas(data: bytes) -> bytes:
    """A chunk whose choices have a delta each; as it came where it cannot be read."""
    try:
        told = ANY.decode(data)
        for choice in told["choices"]:
            choice.setdefault("delta", {})
    except (*BROKEN_JSON, TypeError, AttributeError, KeyError):
        return data
    return msgspec.json.encode(told)
