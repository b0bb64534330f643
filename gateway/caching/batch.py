"""An embeddings call, input by input: those whose vectors are kept are answered from memory, the others are sent.

What an answer's inputs have in tokens is told for all of them together; it is divided among them by their lengths.

Failure behavior: an answer that does not answer each input once is not kept; where it was to be put together with what
is kept, that is forgotten and all inputs are asked for.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from cache.exact.keys import KEY_BYTES
from gateway.caching.answers import Answers, StoredAnswer, StoredInput, is_old
from providers.chat import Answer, Usage
from providers.openai.batches import (
    Cut,
    cut_answer,
    join_answer,
    reported_tokens,
    share_tokens,
    with_inputs,
)
from providers.openai.recorded import record_body
from providers.wire import Call


class Batch:
    """The inputs of one call, and what is known of each."""

    __slots__ = ("_cut", "_inputs", "_kept", "_keys", "_value", "key")

    def __init__(self, base: bytes, value: bytes, inputs: Sequence[bytes]) -> None:
        """``base`` is the key of all that the request says but for its inputs, ``value`` the member that has them."""
        self._inputs = inputs
        self._value = value
        self._keys = [_key(base, each) for each in inputs]
        self._kept: list[StoredInput | None] = [None] * len(inputs)
        self._cut: Cut | None = None
        # Of the whole request.
        self.key = _key(base, b"\0" + value)

    @property
    def count(self) -> int:
        """How many inputs are kept."""
        return sum(each is not None for each in self._kept)

    @property
    def is_whole(self) -> bool:
        """Whether all of them are."""
        return self.count == len(self._kept)

    @property
    def is_partial(self) -> bool:
        """Whether some are, and not all."""
        return 0 < self.count < len(self._kept)

    @property
    def sent_keys(self) -> list[bytes]:
        """The keys of the inputs that are not kept."""
        return [key for key, each in zip(self._keys, self._kept, strict=True) if each is None]

    @property
    def saved_tokens(self) -> int:
        """What the inputs that are kept have."""
        return sum(each.tokens for each in self._kept if each is not None)

    @property
    def entries(self) -> set[str]:
        """The entries that the inputs that are kept belong to."""
        return {each.entry_id for each in self._kept if each is not None}

    @property
    def lines(self) -> bytes:
        """The header line that tells how many inputs were kept."""
        return b"x-watchllm-cache-inputs: %d/%d\r\n" % (self.count, len(self._kept))

    def look(self, answers: Answers, now_ns: int, ttl_s: int, max_age_s: int | None = None) -> None:
        """Find what is kept, of no greater age than a project wants now, and its caller."""
        kept = [answers.find_input(key, now_ns) for key in self._keys]
        self._kept = [None if each is None or is_old(each.origin, now_ns, ttl_s, max_age_s) else each for each in kept]

    def give(self) -> StoredAnswer:
        """The answer where all is kept, under the name of the oldest that it is made of."""
        kept = [each for each in self._kept if each is not None]
        oldest = min(kept, key=lambda each: each.created_ns)
        tokens = self.saved_tokens
        body = join_answer(oldest.origin.recorded.body or b"", [each.piece for each in kept], tokens, keeps_usage=False)
        return msgspec.structs.replace(
            oldest.origin, usage=Usage(input_tokens=tokens), recorded=record_body("embeddings", body)
        )

    def shorten(self, call: Call) -> Call:
        """The call without the inputs that are kept."""
        return with_inputs(call, self._value, self._missing())

    def complete(self, answer: Answer) -> Answer | None:
        """Put the answer of a shortened call together with what is kept; None where it does not fit."""
        missing = self._missing()
        cut = cut_answer(answer.body, len(missing))
        if cut is None:
            return None
        fresh = iter(cut.pieces)
        pieces = [next(fresh) if each is None else each.piece for each in self._kept]
        tokens = (reported_tokens(cut.shell) or 0) + self.saved_tokens
        self._cut = cut
        return msgspec.structs.replace(answer, body=join_answer(cut.shell, pieces, tokens, keeps_usage=True))

    def forget(self, answers: Answers) -> None:
        """Forget what is kept."""
        for key, each in zip(self._keys, self._kept, strict=True):
            if each is not None:
                answers.forget(key)
        self._kept = [None] * len(self._keys)

    def keep(self, answers: Answers, answer: StoredAnswer, *, ttl_s: int, cost_pusd: int) -> None:
        """Keep what an answer says of each input that was sent; ``answer`` has the usage and cost of those alone."""
        missing, keys = self._missing(), self.sent_keys
        cut = self._cut or cut_answer(answer.recorded.body or b"", len(missing))
        if cut is None:
            return
        origin = msgspec.structs.replace(answer, recorded=record_body("embeddings", cut.shell))
        costs = share_tokens(cost_pusd, missing)
        tokens = share_tokens(answer.usage.total_tokens, missing)
        for key, piece, share, cost in zip(keys, cut.pieces, tokens, costs, strict=True):
            answers.keep_input(key, StoredInput(origin=origin, piece=piece, tokens=share), ttl_s=ttl_s, saved_pusd=cost)

    def _missing(self) -> list[bytes]:
        return [each for each, kept in zip(self._inputs, self._kept, strict=True) if kept is None]


def _key(base: bytes, said: bytes) -> bytes:
    return sha256(base + said).digest()[:KEY_BYTES]
