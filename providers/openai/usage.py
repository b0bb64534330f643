"""OpenAI's usage object, read into disjoint buckets.

The providers count inclusively: ``prompt_tokens`` holds cached, cache-written, audio and image tokens, and
``completion_tokens`` holds reasoning and audio. Source: https://platform.openai.com/docs/api-reference/chat/object,
https://openrouter.ai/docs/use-cases/usage-accounting (2026-11-21). Two leave thinking out of ``completion_tokens`` and
count it in ``total_tokens`` alone, billed as output: xAI (https://docs.x.ai/docs/models) and Google's compatible
endpoint (https://ai.google.dev/gemini-api/docs/openai; both 2026-11-27).
"""

from decimal import ROUND_CEILING, Decimal
from typing import Any, TypeVar, cast

import msgspec

from providers.chat import MAX_CREDIBLE_TOKENS, UNUSABLE, Usage, as_number

PUSD_PER_USD = 10**12
MAX_CREDIBLE_USD = Decimal(1_000_000)


class CacheCreation(msgspec.Struct, frozen=True, gc=False):
    """Cache writes by lifetime, in Anthropic's words."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class PromptDetails(msgspec.Struct, frozen=True, gc=False):
    """Shares of the prompt's tokens; the last two are LiteLLM's names (as its clients read them, 2026-11-28)."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_token_details: CacheCreation | None = None


class CompletionDetails(msgspec.Struct, frozen=True, gc=False):
    """Shares of the completion's tokens."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class Counts(msgspec.Struct, frozen=True, gc=False):
    """The counts that stand at the top."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class UsageWire(msgspec.Struct, frozen=True, gc=False):
    """The object as it comes over the wire; ``cost`` is OpenRouter's, in USD."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    cost: Decimal | None = None
    # Where the cached share of the prompt stands at others: DeepSeek (https://api-docs.deepseek.com/guides/kv_cache,
    # 2026-11-27), Moonshot (as its clients read it; its document was not at hand), and gateways before Anthropic.
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    # So do they say what the cache wrote, a WatchLLM behind this one among them.
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    # The names of OpenAI's Responses (https://platform.openai.com/docs/api-reference/responses/object, 2026-11-28) and
    # of Anthropic, by servers that mix them up.
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: PromptDetails | None = None
    output_tokens_details: CompletionDetails | None = None


T = TypeVar("T", CacheCreation, Counts, PromptDetails, CompletionDetails)
M = TypeVar("M")
NO_CREATION, NO_PROMPT_DETAILS = CacheCreation(), PromptDetails()
NO_COMPLETION_DETAILS = CompletionDetails()


def read_usage(wire: UsageWire, service_tier: str | None = None) -> Usage:
    """Split the inclusive counts; UNUSABLE where one is missing or impossible, or nothing was counted at all."""
    if wire.prompt_tokens is None and wire.input_tokens is not None:
        wire = _rename(wire)
    prompt, completion = wire.prompt_tokens, wire.completion_tokens
    if prompt is None or (completion is None and wire.total_tokens is None):
        return UNUSABLE
    total = wire.total_tokens
    if completion is None:
        completion = (total or 0) - prompt
    if not (0 <= prompt <= MAX_CREDIBLE_TOKENS and 0 <= completion <= MAX_CREDIBLE_TOKENS):
        return UNUSABLE
    if not prompt and not completion and wire.cost is None:
        # Servers that do not count fill the object in all the same; what nobody charges for says so by its cost.
        return UNUSABLE
    is_anomalous = total is not None and total != prompt + completion
    if is_anomalous and total is not None and prompt + completion < total <= MAX_CREDIBLE_TOKENS:
        completion, is_anomalous = _with_thinking(wire, prompt, completion, total)
    cached = wire.prompt_cache_hit_tokens or wire.cached_tokens or wire.cache_read_input_tokens
    if cached or wire.cache_creation_input_tokens or wire.cache_creation:
        wire = _gather(wire, cached)
    if wire.prompt_tokens_details is None and wire.completion_tokens_details is None and wire.cost is None:
        return Usage(
            input_tokens=prompt,
            output_tokens=completion,
            anomalous=is_anomalous,
            service_tier=service_tier or "",
        )
    return _split(wire, prompt, completion, is_anomalous, service_tier or "")


def _rename(wire: UsageWire) -> UsageWire:
    """The counts under the names of chat; Anthropic's names leave out of the input what its cache read and wrote."""
    beside = (wire.cache_read_input_tokens or 0) + (wire.cache_creation_input_tokens or 0)
    return msgspec.structs.replace(
        wire,
        prompt_tokens=(wire.input_tokens or 0) + beside,
        completion_tokens=wire.output_tokens if wire.completion_tokens is None else wire.completion_tokens,
        prompt_tokens_details=wire.prompt_tokens_details or wire.input_tokens_details,
        completion_tokens_details=wire.completion_tokens_details or wire.output_tokens_details,
    )


def _gather(wire: UsageWire, cached: int | None) -> UsageWire:
    """What stands beside the prompt's shares, put among them where they do not tell it."""
    given = wire.prompt_tokens_details or NO_PROMPT_DETAILS
    details = msgspec.structs.replace(
        given,
        cached_tokens=cached if given.cached_tokens is None else given.cached_tokens,
        cache_creation_tokens=given.cache_creation_tokens or wire.cache_creation_input_tokens,
        cache_creation_token_details=given.cache_creation_token_details or wire.cache_creation,
    )
    return msgspec.structs.replace(wire, prompt_tokens_details=details)


def _find_writes(given: PromptDetails) -> tuple[int, int]:
    """What the cache wrote, and how much of that for an hour."""
    split = given.cache_creation_token_details or NO_CREATION
    short, long = max(split.ephemeral_5m_input_tokens or 0, 0), max(split.ephemeral_1h_input_tokens or 0, 0)
    written = given.cache_write_tokens or given.cache_creation_tokens or short + long
    return written, min(long, max(written, 0))


def _with_thinking(wire: UsageWire, prompt: int, completion: int, total: int) -> tuple[int, bool]:
    """The completion with what the total alone counts; and whether nothing tells what that is.

    It is billed as output, so where nobody says it is taken for that: no figure that was reported goes free.
    """
    given, made = wire.prompt_tokens_details or NO_PROMPT_DETAILS, wire.completion_tokens_details
    if (given.cached_tokens or 0) > prompt:
        # The cache was left out of the prompt: which of the figures is meant nobody can tell.
        return completion, True
    unseen = total - prompt - completion
    return completion + unseen, made is None or made.reasoning_tokens != unseen


def _split(wire: UsageWire, prompt: int, completion: int, is_anomalous: bool, service_tier: str) -> Usage:
    given = wire.prompt_tokens_details or NO_PROMPT_DETAILS
    made = wire.completion_tokens_details or NO_COMPLETION_DETAILS
    read, reasoning = given.cached_tokens or 0, made.reasoning_tokens or 0
    is_plain = not (
        given.cache_write_tokens
        or given.cache_creation_tokens
        or given.cache_creation_token_details
        or given.audio_tokens
        or given.image_tokens
        or made.audio_tokens
        or made.image_tokens
        or is_anomalous
    )
    if is_plain and 0 <= read <= prompt and 0 <= reasoning <= completion:
        return Usage(
            input_tokens=prompt - read,
            cache_read_tokens=read,
            output_tokens=completion,
            reasoning_tokens=reasoning,
            reported_cost_pusd=None if wire.cost is None else _cost_pusd(wire),
            service_tier=service_tier,
        )
    return _split_carefully(wire, prompt, completion, is_anomalous, service_tier)


def _split_carefully(wire: UsageWire, prompt: int, completion: int, is_anomalous: bool, service_tier: str) -> Usage:
    given = wire.prompt_tokens_details or NO_PROMPT_DETAILS
    made = wire.completion_tokens_details or NO_COMPLETION_DETAILS
    told, told_long = _find_writes(given)
    rest_in, read = _take(prompt, given.cached_tokens)
    rest_in, written = _take(rest_in, told)
    short, long = _take(written, told_long)
    rest_in, audio_in = _take(rest_in, given.audio_tokens)
    rest_in, image_in = _take(rest_in, given.image_tokens)
    rest_out, audio_out = _take(completion, made.audio_tokens)
    rest_out, image_out = _take(rest_out, made.image_tokens)
    _, reasoning = _take(rest_out, made.reasoning_tokens)
    taken = (read, written, audio_in, image_in, audio_out, image_out, reasoning)
    claimed = (
        given.cached_tokens,
        told,
        given.audio_tokens,
        given.image_tokens,
        made.audio_tokens,
        made.image_tokens,
        made.reasoning_tokens,
    )
    return Usage(
        input_tokens=rest_in,
        cache_read_tokens=read,
        cache_write_tokens=short,
        cache_write_1h_tokens=long,
        audio_input_tokens=audio_in,
        image_input_tokens=image_in,
        output_tokens=rest_out,
        audio_output_tokens=audio_out,
        image_output_tokens=image_out,
        reasoning_tokens=reasoning,
        reported_cost_pusd=_cost_pusd(wire),
        anomalous=is_anomalous or taken != tuple(claim or 0 for claim in claimed),
        service_tier=service_tier,
    )


def _take(whole: int, part: int | None) -> tuple[int, int]:
    """Split ``part`` off ``whole``: a share can neither exceed what is left nor be negative."""
    taken = min(max(part or 0, 0), whole)
    return whole - taken, taken


def _cost_pusd(wire: UsageWire) -> int | None:
    """USD to picodollars, rounded up; a figure that is no amount of money counts as not reported."""
    cost = wire.cost
    if cost is None or not cost.is_finite() or not 0 <= cost <= MAX_CREDIBLE_USD:
        return None
    return int((cost * PUSD_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def read_any_usage(value: Any, service_tier: str | None = None) -> Usage | None:
    """Read a usage object whose members may have wrong types.

    A share that is no count is not told, which is an anomaly; a prompt or completion that is none makes it UNUSABLE.
    """
    if value is None:
        return None
    try:
        return read_usage(msgspec.convert(value, UsageWire, strict=True), service_tier)
    except msgspec.ValidationError:
        pass
    if not isinstance(value, dict):
        return UNUSABLE
    told = cast("dict[str, Any]", value)
    given, is_given_odd = _read_counts(
        told.get("prompt_tokens_details", told.get("input_tokens_details")), PromptDetails
    )
    of_completion = told.get("completion_tokens_details", told.get("output_tokens_details"))
    made, is_made_odd = _read_counts(of_completion, CompletionDetails)
    counts, is_odd = _read_counts(told, Counts)
    written, is_split_odd = _read_counts(told.get("cache_creation"), CacheCreation)
    wire = UsageWire(
        **msgspec.structs.asdict(counts),
        prompt_tokens_details=given,
        completion_tokens_details=made,
        cost=_read_as(told.get("cost"), Decimal),
        cache_creation=written,
    )
    usage = read_usage(wire, service_tier)
    is_odd = is_odd or is_given_odd or is_made_odd or is_split_odd
    return msgspec.structs.replace(usage, anomalous=True) if is_odd else usage


def _read_as(value: Any, kind: type[M]) -> M | None:
    """A member of this type, None where it is of another one."""
    try:
        return msgspec.convert(value, kind | None)
    except msgspec.ValidationError:
        return None


def _read_counts(value: Any, kind: type[T]) -> tuple[T, bool]:
    """Read the counts of an object, however a whole number is spelled; and whether anything is odd."""
    if not isinstance(value, dict):
        return kind(), value is not None and value != []
    told = cast("dict[str, Any]", value)
    given = {name: told[name] for name in kind.__struct_fields__ if told.get(name) is not None}
    split = given.pop("cache_creation_token_details", None)
    counts: dict[str, Any] = {name: count for name, number in given.items() if (count := _count(number)) is not None}
    is_odd = len(counts) < len(given)
    if split is not None:
        counts["cache_creation_token_details"], is_split_odd = _read_counts(split, CacheCreation)
        is_odd = is_odd or is_split_odd
    return kind(**counts), is_odd


def _count(number: Any) -> int | None:
    number = as_number(number)
    is_whole = isinstance(number, int) or (isinstance(number, float) and number.is_integer())
    return int(number) if is_whole and not isinstance(number, bool) else None
