"""What each generation of Claude accepts: output limit, thinking, effort, sampling, structured outputs.

Vendor facts, read 2026-11-21:
- output limits: https://platform.claude.com/docs/en/about-claude/models/overview and each model's own page
- thinking: https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting, the table by model
- effort: https://platform.claude.com/docs/en/build-with-claude/effort
- sampling: https://platform.claude.com/docs/en/build-with-claude/thinking ("Sampling parameters") and
  https://platform.claude.com/docs/en/about-claude/models/migration-guide (temperature or top_p, not both)
- structured outputs: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from enum import Enum

import msgspec

EFFORTS = ("low", "medium", "high", "xhigh", "max")


class Thinking(Enum):
    """How a model is told to think."""

    NONE = "cannot think"
    BUDGET = 'off; {"type": "enabled", "budget_tokens": N} turns it on'
    ASKED = 'off; {"type": "adaptive"} turns it on'
    DEFAULT = "on; can be turned off"
    ALWAYS = "on; cannot be turned off"


class Sampling(Enum):
    """What may be said about temperature, top_p and top_k."""

    FREE = "all of them"
    ONE = "temperature or top_p, not both"
    FIXED = "none: any value but the default is a 400"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One generation: what it accepts."""

    # Also the max_tokens of a call that sets none, because Anthropic requires one.
    max_output_tokens: int
    thinking: Thinking = Thinking.NONE
    # What turns thinking off where it is on by default.
    off_switch: str = "disabled"
    # Values of output_config.effort that it knows; empty: it knows no effort.
    efforts: tuple[str, ...] = ()
    sampling: Sampling = Sampling.FREE
    # output_config.format and strict tools.
    structured: bool = False


def _adaptive(thinking: Thinking, *, off_switch: str = "disabled") -> Model:
    return Model(
        max_output_tokens=128_000,
        thinking=thinking,
        off_switch=off_switch,
        efforts=EFFORTS,
        sampling=Sampling.FIXED,
        structured=True,
    )


_CLAUDE_4_6 = Model(
    max_output_tokens=128_000,
    thinking=Thinking.ASKED,
    efforts=("low", "medium", "high", "max"),
    sampling=Sampling.ONE,
    structured=True,
)
_CLAUDE_4_5 = Model(max_output_tokens=64_000, thinking=Thinking.BUDGET, sampling=Sampling.ONE, structured=True)
_OPUS_4_5 = msgspec.structs.replace(_CLAUDE_4_5, efforts=("low", "medium", "high"))
_OPUS_4_1 = Model(max_output_tokens=32_000, thinking=Thinking.BUDGET, sampling=Sampling.ONE)
_CLAUDE_4 = Model(max_output_tokens=64_000, thinking=Thinking.BUDGET)

# The first prefix that fits wins, so longer names stand before shorter ones.
MODELS: tuple[tuple[str, Model], ...] = (
    ("claude-fable-", _adaptive(Thinking.ALWAYS)),
    ("claude-mythos-", _adaptive(Thinking.ALWAYS)),
    ("claude-opus-5-5", _adaptive(Thinking.ALWAYS)),
    ("claude-opus-5", _adaptive(Thinking.DEFAULT)),
    ("claude-opus-4-8", _adaptive(Thinking.ASKED)),
    ("claude-opus-4-7", _adaptive(Thinking.ASKED)),
    ("claude-opus-4-6", _CLAUDE_4_6),
    ("claude-opus-4-5", _OPUS_4_5),
    ("claude-opus-4-1", _OPUS_4_1),
    ("claude-opus-4", msgspec.structs.replace(_CLAUDE_4, max_output_tokens=32_000)),
    ("claude-sonnet-5-5", _adaptive(Thinking.DEFAULT, off_switch="between_tools")),
    ("claude-sonnet-5", _adaptive(Thinking.DEFAULT)),
    ("claude-sonnet-4-6", _CLAUDE_4_6),
    ("claude-sonnet-4-5", _CLAUDE_4_5),
    ("claude-sonnet-4", _CLAUDE_4),
    ("claude-haiku-5", _adaptive(Thinking.DEFAULT)),
    ("claude-haiku-4-5", _CLAUDE_4_5),
    ("claude-3-7-", _CLAUDE_4),
    ("claude-3-5-", Model(max_output_tokens=8_192)),
    ("claude-3-", Model(max_output_tokens=4_096)),
    ("claude-2", Model(max_output_tokens=4_096)),
    ("claude-instant", Model(max_output_tokens=4_096)),
    # A Claude that is newer than this table: the rules of its youngest rows, and the least of all limits.
    ("claude-", msgspec.structs.replace(_adaptive(Thinking.ALWAYS), max_output_tokens=4_096)),
    # Something else behind the same protocol: nothing is held back from it.
    ("", Model(max_output_tokens=4_096, structured=True)),
)


def find_model(name: str) -> Model:
    """Find what ``name`` accepts; a vendor's prefix before ``claude-`` is skipped, unknown names get a safe row."""
    bare = name[max(0, name.find("claude-")) :]
    return next(model for prefix, model in MODELS if bare.startswith(prefix))
