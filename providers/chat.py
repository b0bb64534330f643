"""The values that dialects and the gateway exchange: usage in disjoint buckets, targets and answers."""

from typing import cast

import msgspec

# More tokens than any call can have: a larger figure is a fault, not a count.
MAX_CREDIBLE_TOKENS = 1_000_000_000


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one call in disjoint buckets: no token is counted in two of the first nine fields.

    OpenAI's ``prompt_tokens`` include cached ones and Anthropic's exclude them; a dialect turns both into this.
    ``reasoning_tokens`` alone is not a bucket: it is a share of ``output_tokens``.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    # Anthropic's five-minute cache writes, and every write whose lifetime is not told.
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    output_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    reasoning_tokens: int = 0
    # What the provider itself says the call cost, in picodollars, rounded up; None when it says nothing.
    reported_cost_pusd: int | None = None
    # True when a tokenizer counted, not the provider.
    estimated: bool = False
    # True when the provider's own figures contradict each other and had to be clamped, or tell of more than tokens.
    anomalous: bool = False
    # OpenAI's and Groq's tier that served the call ("default", "flex", "priority", …); empty when not told.
    service_tier: str = ""

    @property
    def total_input_tokens(self) -> int:
        """Every input bucket, the sense of OpenAI's ``prompt_tokens``."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.audio_input_tokens
            + self.image_input_tokens
        )

    @property
    def total_output_tokens(self) -> int:
        """Every output bucket, the sense of OpenAI's ``completion_tokens``."""
        return self.output_tokens + self.audio_output_tokens + self.image_output_tokens

    @property
    def total_tokens(self) -> int:
        """All tokens of the call; one sum, since it is asked for each row."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.audio_input_tokens
            + self.image_input_tokens
            + self.output_tokens
            + self.audio_output_tokens
            + self.image_output_tokens
        )

    @property
    def is_credible(self) -> bool:
        """Whether the figures can be used: contradictory ones only where they could be clamped to something."""
        return not self.anomalous or self.total_tokens > 0


NO_USAGE = Usage()
_MAX_DIGITS = 20
# The provider reported something, and none of it can be believed: the meter counts itself and says so.
UNUSABLE = Usage(anomalous=True)


def as_number(count: object) -> object:
    """A count that a report spells as a string, as the number that it is; anything else as it stands."""
    is_spelled = isinstance(count, str) and count.isascii() and count.isdigit() and len(count) <= _MAX_DIGITS
    return int(cast("str", count)) if is_spelled else count


def is_counted(usage: Usage | None) -> bool:
    """Whether nothing is left to be counted: a report without any output may have left it out."""
    return usage is not None and usage.is_credible and usage.total_output_tokens > 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole reply, already in OpenAI's wire format and checked to be one."""

    body: bytes
    # None when the provider reported none; the meter then estimates from ``text``.
    usage: Usage | None
    # What was said, for estimates only: contents, tool calls' names and arguments; empty when ``usage`` is there.
    text: str = ""
