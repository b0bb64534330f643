"""The most that a call can cost: a sound bound, computed from the body's bytes, its prices and the models' limits.

Input: a token stands for at least one byte, so the body has no more tokens than bytes; what providers add to a prompt
and to tools unseen is far below the constants here. Where that is too coarse to fit, the caller counts with the
tokenizer and adds a margin (``from_count``). The dearest rate of any bucket that the body can cause holds for every
token. Output: the caller's limit or the model's own, reasoning included, for each of the n answers, of each prompt.

What no bound covers is named in gateway.budgets.exclusions.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from gateway.budgets.exclusions import PLAIN, Shape
from providers.pricing.prices import Price, Rates
from providers.tokens import rule_for
from providers.wire import Call

# What frames a prompt or is put before it unseen: 3 tokens at OpenAI, 64 at the most (gpt-oss), see providers.tokens.
PREAMBLE_TOKENS = 128
# What a prompt with tools gets besides: 650 at the most (Llama 4).
TOOLS_TOKENS = 1_024
# An image, whatever its size: 48,169 at the most (gpt-4o-mini,
# https://platform.openai.com/docs/guides/images-vision, 2026-11-26).
IMAGE_TOKENS = 65_536
# A count with the model's own tokenizer, and one with another's, in eighths of it.
_EIGHTHS, _OWN_EIGHTHS, _FOREIGN_EIGHTHS = 8, 9, 12
_ATTO_PER_PICO = 1_000_000
# A reply shorter than this is of no use, so no call is cut down below it.
LEAST_OUTPUT_TOKENS = 64
# Limits on the reply, callers' own, whose tariff is kept.
_MOST_KEPT = 64


class Worst(msgspec.Struct, frozen=True):
    """The most that one target charges: attodollars per token of input and output, and picodollars per call."""

    input_atto: int
    output_atto: int
    per_request_pusd: int
    # The longest reply; of a call without output 0.
    output_tokens: int
    # The model's own limit is not known, so the call has to carry one.
    is_unlimited: bool = False

    def affords(self, amount_pusd: int, input_tokens: int, n: int) -> int:
        """The longest reply that an amount pays for, below 0 where it does not pay for the input."""
        atto = (amount_pusd - self.per_request_pusd) * _ATTO_PER_PICO - input_tokens * self.input_atto
        return atto // (n * self.output_atto) if self.output_atto else (self.output_tokens if atto >= 0 else -1)


class Bound(msgspec.Struct, frozen=True):
    """The most that one try of a call can cost, wherever its route leads it.

    Not keyword-only: made by position, it costs a call half as much.
    """

    targets: tuple[Worst, ...]
    input_tokens: int
    output_tokens: int
    n: int = 1
    # Whether nothing but the call itself can limit the reply.
    needs_limit: bool = False

    @property
    def pusd(self) -> int:
        """With the longest reply."""
        return self.cost_pusd(self.output_tokens)

    @property
    def least_pusd(self) -> int:
        """With the shortest reply that is of any use."""
        return self.cost_pusd(min(self.output_tokens, LEAST_OUTPUT_TOKENS))

    def cost_pusd(self, output_tokens: int) -> int:
        """With a reply of this length, rounded up."""
        most, input_tokens, n = 0, self.input_tokens, self.n
        # A loop, no max() and no call for each target: each of them costs a call as much again.
        for target in self.targets:
            output = n * (output_tokens if output_tokens < target.output_tokens else target.output_tokens)
            atto = input_tokens * target.input_atto + output * target.output_atto
            pusd = -(-atto // _ATTO_PER_PICO) + target.per_request_pusd
            if pusd > most:  # noqa: PLR1730 - as above
                most = pusd
        return most

    def affords(self, amount_pusd: int) -> int:
        """The longest reply that an amount pays for at every target."""
        affordable = [target.affords(amount_pusd, self.input_tokens, self.n) for target in self.targets]
        return min([self.output_tokens, *affordable])


# Of a call that budgets only watch, whose cost nobody can bound: nothing is held for it, and what it costs counts.
UNBOUNDED = Bound((), 0, 0)


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """A target as the bound sees it: every price that may become the call's, and its model's longest reply."""

    prices: tuple[Price, ...]
    # None: not known.
    max_output_tokens: int | None


class Tariff(msgspec.Struct, frozen=True):
    """What calls cost at worst at the targets of a route, from one moment on and before another."""

    targets: tuple[Worst, ...]
    output_tokens: int
    # As Bound's.
    needs_limit: bool
    # Of each target: attodollars per token of input and for the longest reply, and picodollars per call.
    sums: tuple[tuple[int, int, int], ...]
    # Ns since the epoch.
    from_ns: int = 0
    until_ns: int = 0

    def cost_pusd(self, input_tokens: int, n: int) -> int:
        """What a call costs at most: the ``pusd`` of its bound."""
        most = 0
        for input_atto, reply_atto, per_request_pusd in self.sums:
            pusd = per_request_pusd - -(input_tokens * input_atto + n * reply_atto) // _ATTO_PER_PICO
            if pusd > most:  # noqa: PLR1730 - a call of max() costs as much again
                most = pusd
        return most

    def bound(self, call: Call, input_tokens: int) -> Bound:
        """Bound a call by it."""
        return Bound(self.targets, input_tokens, self.output_tokens, call.answers, self.needs_limit)


class Tariffs:
    """The tariffs of one route for plain calls, by their endpoint and the limit that they set on the reply."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, int | None], Tariff] = {}

    def find(self, call: Call, at_ns: int) -> Tariff | None:
        """What was kept, where it is in force."""
        tariff = self._known.get((call.endpoint, call.max_tokens))
        return tariff if tariff is not None and tariff.from_ns <= at_ns < tariff.until_ns else None

    def keep(self, call: Call, tariff: Tariff) -> None:
        """Keep what was worked out."""
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        self._known[call.endpoint, call.max_tokens] = tariff


def bound_call(call: Call, reaches: Iterable[Reach], default_output_tokens: int, shape: Shape = PLAIN) -> Bound:
    """Bound a call by its bytes; targets that are free or without a price are left out by the caller."""
    input_tokens = len(call.body) + PREAMBLE_TOKENS + shape.images * IMAGE_TOKENS
    if shape.has_tools:
        input_tokens += TOOLS_TOKENS
    rare = _ALL_RARE if shape.hides_words else _find_rare_rates(call.body, has_images=shape.images > 0)
    worsts = [_find_worst(call, reach, input_tokens, default_output_tokens, rare) for reach in reaches]
    return join_worsts(worsts).bound(call, input_tokens)


def bound_target(call: Call, price: Price, max_output_tokens: int | None, default_output_tokens: int) -> Worst:
    """What a plain call costs at worst at one target, whose price has no tiers by the input's length."""
    reach = Reach(prices=(price,), max_output_tokens=max_output_tokens)
    return _find_worst(call, reach, 0, default_output_tokens, _NOTHING_RARE)


def bound_plainly(call: Call, tariff: Tariff) -> Bound:
    """Bound a call of PLAIN shape, as ``bound_call`` would, by what its targets charge at worst."""
    return tariff.bound(call, len(call.body) + PREAMBLE_TOKENS)


def join_worsts(worsts: Sequence[Worst], from_ns: int = 0, until_ns: int = 0) -> Tariff:
    """Put together what the targets of a route charge."""
    longest = max((worst.output_tokens for worst in worsts), default=0)
    needs_limit = any(worst.is_unlimited for worst in worsts)
    sums = tuple(
        (worst.input_atto, worst.output_atto * worst.output_tokens, worst.per_request_pusd) for worst in worsts
    )
    return Tariff(tuple(worsts), longest, needs_limit, sums, from_ns, until_ns)


def from_count(bound: Bound, model: str, counted_tokens: int, shape: Shape) -> Bound:
    """Bound the input by a tokenizer's count where that is less."""
    rule = rule_for(model)
    # The packaged encodings are OpenAI's own: for the others they only stand in.
    eighths = _OWN_EIGHTHS if rule.numerator == rule.denominator else _FOREIGN_EIGHTHS
    tokens = -(-counted_tokens * eighths // _EIGHTHS) + PREAMBLE_TOKENS + shape.images * IMAGE_TOKENS
    return msgspec.structs.replace(bound, input_tokens=min(bound.input_tokens, tokens))


def _find_worst(call: Call, reach: Reach, input_tokens: int, default_output_tokens: int, rare: "_Rare") -> Worst:
    input_atto = output_atto = per_request = 0
    for price in reach.prices:
        for rates in _reachable(price, input_tokens) if price.tiers else (price.rates,):
            # What every call can cause, by name: reading by a list of names costs four times as much.
            input_atto = max(input_atto, rates.input_atto, rates.cached_input_atto, rates.cache_write_atto)
            output_atto = max(output_atto, rates.output_atto)
            for name in rare.inputs:
                input_atto = max(input_atto, getattr(rates, name))
            for name in rare.outputs:
                output_atto = max(output_atto, getattr(rates, name))
        per_request = max(per_request, price.per_request_pusd)
    if call.endpoint == "embeddings":
        return Worst(input_atto, output_atto, per_request, 0)
    wanted, longest = call.max_tokens, reach.max_output_tokens
    if wanted is None or (longest is not None and longest < wanted):
        wanted = longest
    output_tokens = default_output_tokens if wanted is None else wanted
    return Worst(input_atto, output_atto, per_request, output_tokens, wanted is None)


class _Rare(NamedTuple):
    """The rates that a body can cause besides those that every call can."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


_NOTHING_RARE = _Rare((), ())
_RARE_OUTPUTS = ("audio_output_atto", "image_output_atto")
_ALL_RARE = _Rare(("cache_write_1h_atto", "audio_input_atto", "image_input_atto"), _RARE_OUTPUTS)


def _find_rare_rates(body: bytes, *, has_images: bool) -> _Rare:
    says_modalities = b'"modalities"' in body or b'"audio"' in body
    writes_for_long, has_audio = b'"1h"' in body, b"input_audio" in body
    if not (has_images or says_modalities or writes_for_long or has_audio):
        return _NOTHING_RARE
    inputs: list[str] = []
    if writes_for_long:
        inputs.append("cache_write_1h_atto")
    if has_audio:
        inputs.append("audio_input_atto")
    if has_images:
        inputs.append("image_input_atto")
    return _Rare(tuple(inputs), _RARE_OUTPUTS if says_modalities else ())


def _reachable(price: Price, input_tokens: int) -> list[Rates]:
    return [price.rates, *[tier.rates for tier in price.tiers if input_tokens > tier.above_input_tokens]]
