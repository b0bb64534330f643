"""The calls of the ledger's proof: what each asks for, what its providers do, and what they will bill, from a seed."""

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

Act = Literal[
    # An answer, with its usage reported or not.
    "answer", "mute",
    # Refusals and failures before the answer.
    "error_400", "error_429", "error_500", "error_first", "reset",
    # Streams that break off in their middle: with an error event, cleanly, and by a reset.
    "error_inside", "cut_off", "reset_inside",
]  # fmt: skip
Leaving = Literal["", "before", "after"]

FAILURES: tuple[Act, ...] = ("error_429", "error_500", "error_first", "reset")
BREAKS: tuple[Act, ...] = ("error_inside", "cut_off", "reset_inside")
ANSWERS: frozenset[Act] = frozenset(("answer", "mute", *BREAKS))
# One token in every encoding.
WORD = " hello"


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Picodollars a token, and a request. 1 USD per million tokens is 1,000,000."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    request: int = 0


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider counts, in disjoint buckets named as in the ledger."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def prompt(self) -> int:
        """Every input token."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One call."""

    number: int
    # The model that the caller names: a key of ROUTES, or a sandbox prompt's kind.
    model: str
    endpoint: str = "chat/completions"
    is_sandbox: bool = False
    stream: bool = False
    wants_usage: bool = False
    leaves: Leaving = ""
    # By a reset rather than an orderly close.
    leaves_rudely: bool = False
    prompt_words: int
    # Words in the answer.
    words: int
    # What the providers do, try after try; the last act goes on.
    acts: tuple[Act, ...]
    tokens: Tokens = Tokens()
    reported_pusd: int | None = None

    @property
    def name(self) -> str:
        """What the call is recognised by at the provider and in the ledger."""
        return f"call-{self.number}"


Target = tuple[str, str]
ROUTES: Mapping[str, tuple[Target, ...]] = MappingProxyType(
    {
        "plain": (("openai", "gpt-4o-mini"),),
        "pair": (("openai", "gpt-4o"), ("patient", "big")),
        "patient-first": (("patient", "big"), ("openai", "gpt-4o")),
        "claude": (("anthropic", "claude-3-5-sonnet"),),
        "claude-pair": (("anthropic", "claude-3-5-sonnet"), ("patient", "big")),
        "three": (("openai", "gpt-4o-mini"), ("anthropic", "claude-3-5-sonnet"), ("patient", "big")),
        "patient": (("patient", "big"),),
        "router": (("openrouter", "openai/gpt-4o"),),
        "router-overruled": (("openrouter", "openai/gpt-4o-mini"),),
        "unpriced": (("stranger", "unheard-of"),),
        "instruct": (("openai", "gpt-3.5-turbo-instruct"),),
        "embed": (("openai", "text-embedding-3-small"),),
        "embed-pair": (("openai", "text-embedding-3-small"), ("patient", "big")),
    }
)
# OpenAI's and Anthropic's are their published prices; the others are the configuration's own.
RATES: Mapping[Target, Rates] = MappingProxyType(
    {
        ("openai", "gpt-4o-mini"): Rates(
            input=150_000, output=600_000, cache_read=75_000, cache_write=150_000, cache_write_1h=150_000
        ),
        ("openai", "gpt-4o"): Rates(
            input=2_500_000, output=10_000_000, cache_read=1_250_000, cache_write=2_500_000, cache_write_1h=2_500_000
        ),
        ("openai", "gpt-3.5-turbo-instruct"): Rates(
            input=1_500_000, output=2_000_000, cache_read=1_500_000, cache_write=1_500_000, cache_write_1h=1_500_000
        ),
        ("openai", "text-embedding-3-small"): Rates(
            input=20_000, output=20_000, cache_read=20_000, cache_write=20_000, cache_write_1h=20_000
        ),
        ("anthropic", "claude-3-5-sonnet"): Rates(
            input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000, cache_write_1h=6_000_000
        ),
        ("patient", "big"): Rates(
            input=1_234_567,
            output=7_654_321,
            cache_read=1,
            cache_write=2_000_003,
            cache_write_1h=4_000_037,
            request=1_000_000_001,
        ),
        ("openrouter", "openai/gpt-4o-mini"): Rates(
            input=170_001, output=610_003, cache_read=170_001, cache_write=170_001, cache_write_1h=170_001
        ),
    }
)
# Where closing a stream's connection does not end the billing, a stream that was left is read to its end.
DRAINED = frozenset({"patient"})
# Those where leaving a call that is no stream ends the work as well, as the operator says.
STOPPED = frozenset({"stranger"})
SANDBOX_PROMPTS = (
    "tokens:25", "usage:none", "error:429", "error:500", "error:mid-stream", "truncate", "reasoning", "echo",
)  # fmt: skip


def is_cancellable(wanted: Wanted, provider: str) -> bool:
    """Whether a provider is hung up on when the client of a call leaves."""
    return provider not in DRAINED if wanted.stream else provider in STOPPED


def cost_pusd(rates: Rates, tokens: Tokens) -> int:
    """What a provider bills."""
    return (
        tokens.input_tokens * rates.input
        + tokens.cache_read_tokens * rates.cache_read
        + tokens.cache_write_tokens * rates.cache_write
        + tokens.cache_write_1h_tokens * rates.cache_write_1h
        + tokens.output_tokens * rates.output
        + rates.request
    )


def configure(port: int) -> str:
    """The gateway's configuration: five providers at one port, told apart by their paths."""
    parts = [
        'log_level = "error"\n[retries]\nmax_tries = 3\nbase_backoff_ms = 2\nmax_backoff_ms = 4\n',
        "[breaker]\nfailures = 5\ncooldown_ms = 20\n[ledger]\nfold_interval_ms = 20\n",
    ]
    cancels = {"patient": "false", "stranger": "true"}
    for provider in sorted({provider for targets in ROUTES.values() for provider, _ in targets}):
        dialect = "anthropic" if provider == "anthropic" else "openai"
        billing = f"cancel_stops_billing = {cancels[provider]}\n" if provider in cancels else ""
        billing += "cancel_stops_whole_calls = true\n" if provider in STOPPED else ""
        base_url = f"http://127.0.0.1:{port}/{provider}/v1"
        parts.append(
            f'[providers.{provider}]\ndialect = "{dialect}"\nbase_url = "{base_url}"\napi_key = "k"\n{billing}'
        )
    for name, targets in ROUTES.items():
        listed = ", ".join(f'{{ provider = "{provider}", model = "{model}" }}' for provider, model in targets)
        parts.append(f'[[models]]\nname = "{name}"\ntargets = [{listed}]\n')
    for provider, model in (("patient", "big"), ("openrouter", "openai/gpt-4o-mini")):
        parts.append(_price(provider, model, RATES[provider, model]))
    return "\n".join(parts)


def _price(provider: str, model: str, rates: Rates) -> str:
    def usd(pusd: int, decimals: int) -> str:
        whole, rest = divmod(pusd, 10**decimals)
        return f"{whole}.{rest:0{decimals}d}"

    return (
        f'[[prices]]\nprovider = "{provider}"\nmodel = "{model}"\neffective_from = "2024-01-01"\n'
        f'input = "{usd(rates.input, 6)}"\noutput = "{usd(rates.output, 6)}"\n'
        f'cached_input = "{usd(rates.cache_read, 6)}"\ncache_write = "{usd(rates.cache_write, 6)}"\n'
        f'cache_write_1h = "{usd(rates.cache_write_1h, 6)}"\nper_request = "{usd(rates.request, 12)}"\n'
    )


def plan_calls(seed: int, count: int) -> list[Wanted]:
    """A mix of calls; the same seed gives the same."""
    chance = random.Random(seed)  # noqa: S311 - a plan, no secret
    return [_plan_sandbox(chance, n) if chance.random() < 0.08 else _plan(chance, n) for n in range(count)]


def _plan_sandbox(chance: random.Random, number: int) -> Wanted:
    return Wanted(
        number=number,
        model="any",
        is_sandbox=True,
        stream=chance.random() < 0.5,
        prompt_words=chance.randint(1, 20),
        words=0,
        acts=(),
        endpoint=chance.choice(SANDBOX_PROMPTS),
    )


def _plan(chance: random.Random, number: int) -> Wanted:
    model = chance.choice(list(ROUTES))
    endpoint = {"embed": "embeddings", "instr": "completions"}.get(model[:5], "chat/completions")
    stream = endpoint != "embeddings" and chance.random() < 0.6
    acts = _plan_acts(chance, stream=stream, targets=len(ROUTES[model]))
    leaves: Leaving = ""
    if acts[-1] in ("answer", "mute") and chance.random() < 0.25:
        leaves = "after" if stream and chance.random() < 0.6 else "before"
    return Wanted(
        number=number,
        model=model,
        endpoint=endpoint,
        stream=stream,
        wants_usage=stream and chance.random() < 0.4,
        leaves=leaves,
        leaves_rudely=chance.random() < 0.5,
        prompt_words=chance.randint(1, 120),
        words=chance.randint(2, 12),
        acts=acts,
        tokens=_plan_tokens(chance, endpoint, ROUTES[model]),
        reported_pusd=chance.randint(0, 10**13) if model.startswith("router") else None,
    )


def _plan_acts(chance: random.Random, *, stream: bool, targets: int) -> tuple[Act, ...]:
    """Up to three failures, which are retried or fallen back from, and then an end of one kind or another."""
    failures: Sequence[Act] = FAILURES if stream else [act for act in FAILURES if act != "error_first"]
    acts: list[Act] = []
    while len(acts) < max(3, targets) and chance.random() < 0.25:
        acts.append(chance.choice(failures))
    endings: Sequence[Act] = ("answer", "mute", "error_400", *(BREAKS if stream else ()))
    weights = (12, 3, 1, *((1, 1, 1) if stream else ()))
    return (*acts, *chance.choices(endings, weights))


def _plan_tokens(chance: random.Random, endpoint: str, targets: tuple[Target, ...]) -> Tokens:
    most = 10 ** chance.randint(1, 5)
    if endpoint == "embeddings":
        return Tokens(input_tokens=chance.randint(1, most))
    output = chance.randint(1, most)
    has_cache = endpoint == "chat/completions" and chance.random() < 0.5
    writes = has_cache and targets[0][0] in ("anthropic", "patient")
    return Tokens(
        input_tokens=chance.randint(1, most),
        cache_read_tokens=chance.randint(0, most) if has_cache else 0,
        cache_write_tokens=chance.randint(0, most) if writes else 0,
        # Only Anthropic tells how long it keeps what it wrote.
        cache_write_1h_tokens=chance.randint(0, most) if writes and targets == ROUTES["claude"] else 0,
        output_tokens=output,
        reasoning_tokens=chance.randint(0, output) if has_cache else 0,
    )
