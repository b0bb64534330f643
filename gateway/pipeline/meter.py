"""Room 8: how many tokens a call used. What the provider reports wins; else a tokenizer counts what was produced.

What flows is counted on its way too where money is held for it, so that it can be cut.

Failure behavior: counting never fails a call. Every figure that a provider did not report is marked as an estimate.
"""

import asyncio

import msgspec

from gateway.pipeline.flow import Target
from gateway.pipeline.services import Services
from providers.chat import Answer, Usage
from providers.delivered import Delivered
from providers.errors import ProviderError
from providers.pricing.prices import cost_pusd
from providers.tokens import Tokenizers, rule_for
from providers.wire import Call, StreamReader

# Where no tokenizer can be asked: a token of English text has about four bytes.
BYTES_PER_TOKEN = 4


class Produced(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider reported and what it said, for the case that it reported nothing usable."""

    reported: Usage | None
    text: str = ""
    # Characters that were said beyond ``text``.
    unkept_chars: int = 0


class Overrun(ProviderError):
    """The provider goes on beyond the limit that it was given on the reply."""

    code = "spending_limit"
    status = 402
    retryable = False


class Guard:
    """Counts what a stream says, as seldom as can be, and tells when it is more than was held for."""

    __slots__ = ("_allowed", "_eighths", "_model", "_next_chars", "_tokenizers")

    def __init__(self, tokenizers: Tokenizers, model: str, allowed_tokens: int) -> None:
        self._tokenizers = tokenizers
        self._model = model
        self._allowed = allowed_tokens
        rule = rule_for(model)
        # Another model's tokenizer may count up to half too much: a stream within its limit is never cut.
        self._eighths = 8 if rule.numerator == rule.denominator else 12
        # A token says at least a character, so below this there is nothing to count.
        self._next_chars = allowed_tokens

    def __call__(self, reader: StreamReader) -> ProviderError | None:
        """The error that ends the stream, None while it may go on."""
        said: Delivered = reader.delivered()
        if said.chars <= self._next_chars:
            return None
        produced = Produced(reported=None, text=said.text(), unkept_chars=said.unkept_chars)
        counted = count_output(self._tokenizers, self._model, produced)
        left = self._allowed * self._eighths // 8 - counted
        if left < 0:
            return Overrun(f"the reply goes beyond {self._allowed} tokens, all that was reserved for it")
        self._next_chars = said.chars + left
        return None


def believe(reported: Usage | None) -> Usage | None:
    """What a provider reported, None where it reported nothing or nothing that can be."""
    return reported if reported is not None and reported.is_credible else None


def believe_whole(answer: Answer) -> Usage | None:
    """What a whole answer reported, None where something of it is left to be counted."""
    return None if answer.text else believe(answer.usage)


async def measure(call: Call, model: str, produced: Produced, services: Services) -> Usage:
    """The usage of a call that reached a provider."""
    reported = believe(produced.reported)
    # Embeddings write nothing, nor does a completion that may write nothing: what it says is its own prompt's echo.
    writes = call.endpoint != "embeddings" and call.max_tokens != 0
    # A report may tell the input alone: one from the beginning of an answer that broke off, or of a sloppy server.
    if reported is not None and (reported.total_output_tokens or not produced.text or not writes):
        return reported
    loop, tokenizers = services.loop, services.tokenizers
    # Off the loop: the first count loads the vocabulary, and a long text takes milliseconds.
    if reported is not None:
        output = await loop.run_in_executor(None, count_output, tokenizers, model, produced)
        return msgspec.structs.replace(reported, output_tokens=output, estimated=True)
    given, output = await asyncio.gather(
        loop.run_in_executor(None, tokenizers.count_prompt, model, call.body),
        loop.run_in_executor(None, count_output, tokenizers, model, produced),
    )
    return Usage(
        input_tokens=given,
        output_tokens=output if writes else 0,
        estimated=True,
        anomalous=produced.reported is not None,
    )


def count_output(tokenizers: Tokenizers, model: str, produced: Produced) -> int:
    """Count what was said; what was not kept is taken to be like the rest."""
    counted = tokenizers.count(model, produced.text)
    if not produced.unkept_chars or not produced.text:
        return counted
    return counted + -(-counted * produced.unkept_chars // len(produced.text))


def guess(call: Call, text: str) -> Usage:
    """A count without a tokenizer, for a process that is ending."""
    return Usage(
        input_tokens=-(-len(call.body) // BYTES_PER_TOKEN),
        output_tokens=-(-len(text.encode()) // BYTES_PER_TOKEN),
        estimated=True,
    )


def estimate_pusd(call: Call, target: Target, services: Services) -> int | None:
    """What a call may cost, before it is made: the body's length and the longest reply it allows, at today's price.

    None where there is no price; without a limit on the reply one of the input's length is assumed.
    """
    if target.backend.is_free:
        return 0
    price = services.prices.lookup(target.backend.name, target.model, services.now_ns())
    if price is None:
        return None
    input_tokens = -(-len(call.body) // BYTES_PER_TOKEN)
    output_tokens = (call.max_tokens or input_tokens) * call.answers
    return cost_pusd(price, Usage(input_tokens=input_tokens, output_tokens=output_tokens))
