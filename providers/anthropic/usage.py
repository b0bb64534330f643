"""What Anthropic says a call used: read with distrust, kept in disjoint buckets, shown in OpenAI's words.

Vendor facts (https://platform.claude.com/docs/en/api/messages/create and
https://platform.claude.com/docs/en/build-with-claude/prompt-caching, read 2026-11-21): ``input_tokens`` excludes what
the cache read and wrote; ``output_tokens`` includes thinking; in a stream ``message_start`` counts the input and holds
a placeholder of output, and every ``message_delta`` counts cumulatively, so later figures replace earlier ones.

Failure behavior: none. A figure that is negative, no whole number or of another type is clamped, and the usage says
``anomalous``; so does one whose parts contradict each other, or that tells of something which is billed beside its
tokens. Beside one that no call can have nothing is believed: the usage is UNUSABLE, and the meter counts.
"""

from math import ceil
from typing import Any, TypeGuard, TypeVar

import msgspec

from providers.anthropic.parameters import UNREADABLE, is_given
from providers.chat import MAX_CREDIBLE_TOKENS, UNUSABLE, Usage, as_number

_INPUTS = frozenset({
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
})  # fmt: skip
T = TypeVar("T")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one event or reply reported; None: it said nothing of it."""

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None
    thinking_tokens: int | None = None
    service_tier: str | None = None
    server_tool_use: msgspec.Raw | None = None
    anomalous: bool = False
    # One of them is more than any call can have.
    is_absurd: bool = False


class CacheCreation(msgspec.Struct, frozen=True, kw_only=True):
    """Cache writes by lifetime, in Anthropic's words."""

    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class PromptDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of prompt_tokens; ``cache_write_tokens`` is OpenRouter's name for what OpenAI has none for."""

    cached_tokens: int
    cache_write_tokens: int
    audio_tokens: int = 0


class CompletionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of completion_tokens."""

    reasoning_tokens: int


class OpenAiUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Usage on the wire. The last four members are LiteLLM's and Anthropic's own names."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    cache_creation: CacheCreation
    server_tool_use: msgspec.Raw | None = None


class _Reported(msgspec.Struct, frozen=True):
    input_tokens: Any = None
    output_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation: msgspec.Raw = msgspec.Raw()
    output_tokens_details: msgspec.Raw = msgspec.Raw()
    server_tool_use: msgspec.Raw = msgspec.Raw()
    service_tier: Any = None
    speed: Any = None
    iterations: msgspec.Raw = msgspec.Raw()


class _Split(msgspec.Struct, frozen=True):
    ephemeral_5m_input_tokens: Any = None
    ephemeral_1h_input_tokens: Any = None


class _Details(msgspec.Struct, frozen=True):
    thinking_tokens: Any = None


class _Served(msgspec.Struct, frozen=True):
    web_search_requests: Any = None


def read_figures(raw: msgspec.Raw) -> Figures | None:
    """Read a ``usage`` member; None where it is absent, null or no object."""
    reported = _read(raw, _Reported)
    if reported is None:
        return None
    split = _read(reported.cache_creation, _Split) or _Split()
    details = _read(reported.output_tokens_details, _Details) or _Details()
    told = (
        reported.input_tokens,
        reported.cache_read_input_tokens,
        reported.cache_creation_input_tokens,
        split.ephemeral_5m_input_tokens,
        split.ephemeral_1h_input_tokens,
        reported.output_tokens,
        details.thinking_tokens,
    )
    given = [as_number(value) for value in told]
    is_absurd = any(_is_number(value) and value > MAX_CREDIBLE_TOKENS for value in given)
    counts = [_count(value) for value in given]
    # Compaction is a call of its own, billed, and left out of these figures; the dialect never asks for it.
    has_more = b'"compaction"' in bytes(reported.iterations)
    # Searches are billed by the piece, beside the tokens; fetched pages are not. Source:
    # https://platform.claude.com/docs/en/about-claude/pricing (2026-11-28).
    served = _read(reported.server_tool_use, _Served) or _Served()
    has_more = has_more or bool(_count(served.web_search_requests))
    return Figures(
        input_tokens=counts[0],
        cache_read_tokens=counts[1],
        cache_write_tokens=counts[2],
        cache_write_5m_tokens=counts[3],
        cache_write_1h_tokens=counts[4],
        output_tokens=counts[5],
        thinking_tokens=counts[6],
        service_tier=_tier(reported),
        server_tool_use=reported.server_tool_use if is_given(reported.server_tool_use) else None,
        anomalous=has_more or any(count != value for count, value in zip(counts, given, strict=True)),
        is_absurd=is_absurd,
    )


def replace_figures(earlier: Figures, later: Figures) -> Figures:
    """Replace what the later event counted anew.

    Figures are cumulative, so one that shrinks is an anomaly. A later event that counts no input at all has not
    counted it: the earlier input stays.
    """
    told = {name: value for name in Figures.__struct_fields__ if (value := getattr(later, name)) is not None}
    counted = [name for name in told if name.endswith("_tokens") and getattr(earlier, name) is not None]
    has_shrunk = any(told[name] < getattr(earlier, name) for name in counted)
    if not any(told.get(name) for name in _INPUTS):
        told = {name: value for name, value in told.items() if name not in _INPUTS}
    told["anomalous"] = earlier.anomalous or later.anomalous or has_shrunk
    told["is_absurd"] = earlier.is_absurd or later.is_absurd
    return msgspec.structs.replace(earlier, **told)


def to_usage(figures: Figures) -> Usage:
    """Put figures into the disjoint buckets.

    Where the output was not told, ``output_tokens`` is 0 and ``estimated`` is set: the input is the provider's own,
    the output is still to be counted from what was delivered.
    """
    if figures.is_absurd:
        return UNUSABLE
    short, long, is_split_odd = _writes(figures)
    output_tokens = figures.output_tokens or 0
    thinking_tokens = figures.thinking_tokens or 0
    is_thinking_odd = figures.output_tokens is not None and thinking_tokens > output_tokens
    # Servers that do not count fill the object in all the same.
    is_empty = not (figures.input_tokens or figures.cache_read_tokens or short or long or output_tokens)
    return Usage(
        input_tokens=figures.input_tokens or 0,
        cache_read_tokens=figures.cache_read_tokens or 0,
        cache_write_tokens=short,
        cache_write_1h_tokens=long,
        output_tokens=output_tokens,
        reasoning_tokens=min(thinking_tokens, output_tokens),
        estimated=figures.output_tokens is None,
        anomalous=figures.anomalous or figures.input_tokens is None or is_split_odd or is_thinking_odd or is_empty,
        service_tier=figures.service_tier or "",
    )


def to_openai(usage: Usage, figures: Figures) -> OpenAiUsage:
    """Say usage in OpenAI's words: prompt_tokens include what the cache read and wrote."""
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    return OpenAiUsage(
        prompt_tokens=usage.total_input_tokens,
        completion_tokens=usage.total_output_tokens,
        total_tokens=usage.total_tokens,
        prompt_tokens_details=PromptDetails(cached_tokens=usage.cache_read_tokens, cache_write_tokens=written),
        completion_tokens_details=CompletionDetails(reasoning_tokens=usage.reasoning_tokens),
        cache_read_input_tokens=usage.cache_read_tokens,
        cache_creation_input_tokens=written,
        cache_creation=CacheCreation(
            ephemeral_5m_input_tokens=usage.cache_write_tokens,
            ephemeral_1h_input_tokens=usage.cache_write_1h_tokens,
        ),
        server_tool_use=figures.server_tool_use,
    )


def _writes(figures: Figures) -> tuple[int, int, bool]:
    """The five-minute writes, the one-hour writes, and whether they contradict their total."""
    short, long = figures.cache_write_5m_tokens or 0, figures.cache_write_1h_tokens or 0
    total = figures.cache_write_tokens
    if total is None:
        return short, long, False
    # A stream tells the split once and the total again later, so a split that is short is no contradiction.
    long = min(long, total)
    return total - long, long, short + (figures.cache_write_1h_tokens or 0) > total


def _read(raw: msgspec.Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(raw, type=kind) if is_given(raw) else None
    except UNREADABLE:
        return None


def _count(value: object) -> int | None:
    if value is None:
        return None
    return ceil(max(0, min(value, MAX_CREDIBLE_TOKENS))) if _is_number(value) else 0


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tier(reported: _Reported) -> str | None:
    tier = "fast" if reported.speed == "fast" else reported.service_tier
    return tier if isinstance(tier, str) else None
