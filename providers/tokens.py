"""Token counts for estimates: which tokenizer stands for which model, and how much it is off.

Failure behavior: counting needs no network. A damaged rank file raises ValueError at the first count of its encoding
(see ``providers.vocabulary``); a count that was made is never wrong by a silent fallback.
"""

import base64
import io
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from providers.vocabulary import CL100K_BASE, O200K_BASE, Source, unpack

# Longer input is sampled: the tokenizer does about 4 million tokens a second, so this bounds a count to 0.1 s
# even for the text that is worst for it.
MAX_EXACT_CHARS = 200_000
SAMPLES = 20

# OpenAI's count of a chat prompt: three tokens frame each message, its role is one, three prime the reply.
# https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb (2026-11-21)
MESSAGE_TOKENS = 4
PRIMING_TOKENS = 3

# Fields of a message that are not text to the model: identifiers, labels, and media, which are not estimated here.
UNCOUNTED = frozenset(
    {"cache_control", "file", "id", "image_url", "index", "input_audio", "role", "tool_call_id", "type"}
)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """How to count for the models whose name begins with ``prefix``; the longest prefix that fits decides."""

    prefix: str
    encoding: str = "o200k_base"
    # tokens of the model = tokens of the encoding x numerator / denominator, rounded up.
    numerator: int = 1
    denominator: int = 1
    # What the provider adds to every chat prompt, and what more to one that offers any tools, beyond their schemas.
    preamble_tokens: int = 0
    tools_tokens: int = 0


# OpenAI's own: https://github.com/openai/tiktoken/blob/0.14.0/tiktoken/model.py (2026-11-21).
_CL100K = ("gpt-4", "gpt-3.5", "gpt-35", "text-embedding-", "davinci-002", "babbage-002")
_O200K = ("gpt-4o", "gpt-4.1", "gpt-4.5", "chatgpt-4o", "codex-", "o1", "o3", "o4")
# Claude until 4.6. Measured on 130 recorded replies without tools (9,200 tokens): 1.13 x o200k on the 43 longer than
# 60 tokens; prompts with tools are 500 tokens above their own text (58 prompts, median 510; 2026-11-21).
_CLAUDE_UNTIL_4_6 = (
    "claude-2",
    "claude-3",
    "claude-4",
    "claude-haiku-4",
    "claude-instant",
    "claude-opus-4",
    "claude-sonnet-4",
)
# Claude since Opus 4.7 has a tokenizer of its own that makes more tokens of the same text: 1.38 x o200k
# (measured on 500 tokens of recorded replies and 4 recorded prompts, 2026-11-21).
_CLAUDE_SINCE_4_7 = (
    "claude",
    "claude-4.7",
    "claude-4.8",
    "claude-opus-4-7",
    "claude-opus-4.7",
    "claude-opus-4-8",
    "claude-opus-4.8",
)
# Others, measured on recorded replies (2026-11-21): Llama 1.012 (1,900 tokens), Gemini 1.034 (646), DeepSeek 1.04
# (1,458); what is not named takes the factor of the largest of these.
RULES: tuple[Rule, ...] = (
    *(Rule(prefix=prefix, encoding="cl100k_base") for prefix in _CL100K),
    *(Rule(prefix=prefix) for prefix in _O200K),
    # What these four add was measured on recorded prompts (26, 7, 24 and 58 of them, 2026-11-21).
    Rule(prefix="gpt-5", tools_tokens=75),
    Rule(prefix="gpt-oss", preamble_tokens=64),
    Rule(prefix="llama-4", numerator=101, denominator=100, tools_tokens=650),
    *(Rule(prefix=prefix, numerator=113, denominator=100, tools_tokens=500) for prefix in _CLAUDE_UNTIL_4_6),
    *(Rule(prefix=prefix, numerator=138, denominator=100, tools_tokens=500) for prefix in _CLAUDE_SINCE_4_7),
    Rule(prefix="llama", numerator=101, denominator=100),
    Rule(prefix="gemini", numerator=103, denominator=100),
    Rule(prefix="", numerator=104, denominator=100),
)


def rule_for(model: str) -> Rule:
    """Return the rule for a model by the name of any provider (``openrouter/openai/gpt-4o``, ``ft:gpt-4o:…``)."""
    name = model.rsplit("/", 1)[-1].lower().removeprefix("ft:")
    return max((rule for rule in RULES if name.startswith(rule.prefix)), key=lambda rule: len(rule.prefix))


def encoding_for(model: str) -> str:
    """Return the name of the encoding that stands for the model: ``o200k_base`` or ``cl100k_base``."""
    return rule_for(model).encoding


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """One packaged encoding: its ranks and the pattern that cuts text before byte pairs are merged."""

    ranks: Source
    pattern: str


# The patterns of tiktoken 0.14.0 (tiktoken_ext/openai_public.py, MIT), which offers them only together with a download.
VOCABULARIES: dict[str, Vocabulary] = {
    "cl100k_base": Vocabulary(
        ranks=CL100K_BASE,
        pattern=r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
    "o200k_base": Vocabulary(
        ranks=O200K_BASE,
        pattern="|".join(
            (
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            )
        ),
    ),
}


class Encoding(Protocol):
    """What is used of a ``tiktoken.Encoding``."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Turn text into tokens; the names of special tokens are text like any other."""
        ...


def load_encoding(name: str) -> Encoding:
    """Build the named encoding from the packaged ranks: 0.1 to 0.4 s and 20 to 50 MB, so never on the event loop."""
    # Loaded here because the import and the ranks are paid for by those processes alone that estimate.
    import tiktoken  # noqa: PLC0415

    vocabulary = VOCABULARIES[name]
    pairs = (line.split() for line in io.BytesIO(unpack(vocabulary.ranks)))
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    encoding = tiktoken.Encoding(name, pat_str=vocabulary.pattern, mergeable_ranks=ranks, special_tokens={})
    # It counts by a copy of its own, and keeps these to be pickled alone: a third of all that it takes.
    ranks.clear()
    return encoding


class Tokenizers:
    """Counts tokens; holds the encodings, each loaded by the first count that needs it. Safe to use from threads."""

    def __init__(self) -> None:
        self._encodings: dict[str, Encoding] = {}
        self._loading = threading.Lock()

    def warm(self) -> None:
        """Load every encoding now, so that no count has to."""
        for name in VOCABULARIES:
            self._encoding(name)

    def count(self, model: str, text: str) -> int:
        """Return how many tokens the model makes of a text.

        Exact for OpenAI's models and texts up to 200,000 characters, else an estimate. Of a longer text twenty evenly
        spaced samples are counted, 200,000 characters in all, and the count is scaled by the length, rounded up.
        """
        return self._count_pieces(rule_for(model), (text,))

    def count_prompt(self, model: str, body: bytes) -> int:
        """Return how many input tokens the body of a chat, completions or embeddings request makes.

        Counts the strings of messages (contents, names, tool calls), the schemas of tools and of the reply, and what
        frames them; images, audio and files count nothing. Within 2 % of 126 recorded prompts without tools;
        with tools it may be half too high for OpenAI, who packs schemas tighter than JSON. Raises
        msgspec.DecodeError when the body is no JSON.
        """
        rule = rule_for(model)
        prompt = msgspec.json.decode(body, type=_Prompt)
        tools = [*_items(prompt.tools), *_items(prompt.functions)]
        schemas = [*tools, _fields(prompt.response_format).get("json_schema")]
        pieces = [msgspec.json.encode(schema).decode() for schema in schemas if schema]
        messages = _items(prompt.messages)
        tokens = [0]
        for value in (messages, prompt.prompt, prompt.input):
            pieces.extend(_texts(value, tokens))
        framing = len(messages) * MESSAGE_TOKENS + PRIMING_TOKENS + rule.preamble_tokens if messages else 0
        return self._count_pieces(rule, pieces) + framing + tokens[0] + (rule.tools_tokens if tools else 0)

    def _count_pieces(self, rule: Rule, pieces: Sequence[str]) -> int:
        encoding = self._encoding(rule.encoding)
        total_chars = sum(map(len, pieces))
        counted_chars = total_chars
        if total_chars > MAX_EXACT_CHARS:
            pieces = _sample("".join(pieces))
            counted_chars = sum(map(len, pieces))
        counted = sum(len(encoding.encode_ordinary(piece)) for piece in pieces)
        return -(-counted * rule.numerator * total_chars // (rule.denominator * counted_chars)) if counted else 0

    def _encoding(self, name: str) -> Encoding:
        encoding = self._encodings.get(name)
        if encoding is None:
            with self._loading:
                encoding = self._encodings.get(name) or load_encoding(name)
                self._encodings[name] = encoding
        return encoding


class _Prompt(msgspec.Struct, frozen=True, kw_only=True):
    # Checked by whoever answers the call, not here: any shape is counted as far as it holds text.
    messages: object = None
    prompt: object = None
    input: object = None
    tools: object = None
    functions: object = None
    response_format: object = None


def _items(value: object) -> list[object]:
    return msgspec.convert(value, list[object]) if isinstance(value, list) else []


def _fields(value: object) -> dict[str, object]:
    return msgspec.convert(value, dict[str, object]) if isinstance(value, dict) else {}


def _texts(value: object, tokens: list[int]) -> Iterator[str]:
    """Yield the strings of a JSON value and add its token ids, which are integers, to ``tokens[0]``."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, int) and not isinstance(value, bool):
            tokens[0] += 1
        else:
            waiting.extend(_items(value))
            waiting.extend(field for name, field in _fields(value).items() if name not in UNCOUNTED)


def _sample(text: str) -> list[str]:
    """Return twenty evenly spaced pieces of a text longer than 200,000 characters, 200,000 in all."""
    width = MAX_EXACT_CHARS // SAMPLES
    last = len(text) - width
    return [text[start : start + width] for start in (last * i // (SAMPLES - 1) for i in range(SAMPLES))]
