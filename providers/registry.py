"""The providers we know: one row each with protocol, address, credentials and what the provider is known to refuse.

A provider that speaks OpenAI's protocol is a row here, never code. Every fact carries its source and the date on which
it was read. Nothing here touches the network or the environment.
"""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

DialectName = Literal["openai", "anthropic", "local", "sandbox"]
Auth = Literal["bearer", "x-api-key", "none"]
When = Literal["any", "null", "unset", "above_one"]
Action = Literal["drop", "refuse", "rename"]

ALL_ENDPOINTS = frozenset({"chat/completions", "completions", "embeddings"})
CHAT = frozenset({"chat/completions"})


class Quirk(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is known to refuse in a request, and what to do about it.

    ``when`` says for which values: ``any`` value, ``null``, what is as good as left out (``unset``: null, false, an
    empty object), or an integer ``above_one``. A provider's quirks are applied in order.
    """

    # "chat/completions", "completions" or "embeddings".
    endpoint: str
    # A member of the body's top level.
    param: str
    when: When = "any"
    action: Action
    # The new name where ``action`` is "rename"; where the body has a value for that one, the old one is dropped.
    to: str = ""
    # Beginnings of the upstream's model names; empty: all models.
    models: tuple[str, ...] = ()
    reason: str
    source: str
    as_of: str


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One provider. ``source`` and ``as_of`` cover address, authorisation and the answer on cancelling."""

    name: str
    dialect: DialectName
    # Without a trailing slash; empty for what runs inside the gateway.
    base_url: str = ""
    # The environment variable that conventionally holds the key; empty: needs none.
    env_key: str = ""
    auth: Auth = "bearer"
    # Closing the connection of a stream stops generation and billing.
    cancel_stops_billing: bool
    # Where that holds for some models only: beginnings of their names; empty: for all.
    cancel_models: tuple[str, ...] = ()
    # Closing the connection of a call that is no stream stops the work on it. No provider is known to do that: "for
    # non-streaming requests [...] the model will continue processing and you will be billed for the complete response"
    # (_CANCELLATION, read 2026-11-28). Engines do, where the operator says that one stands there: vLLM wraps its
    # handlers in with_cancellation (https://github.com/vllm-project/vllm/blob/main/vllm/entrypoints/utils.py), and
    # llama.cpp asks after each second without a result whether the connection is closed (server_response_reader in
    # https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-queue.cpp; both read 2026-11-28).
    cancel_stops_whole_calls: bool = False
    # The answer's usage tells what the call cost (``usage.cost``, in USD).
    reports_cost: bool = False
    endpoints: frozenset[str] = ALL_ENDPOINTS
    quirks: tuple[Quirk, ...] = ()
    source: str
    as_of: str


_CANCELLATION = "https://openrouter.ai/docs/api-reference/streaming"
_GROQ_COMPATIBILITY = "https://console.groq.com/docs/openai"
_READ = "2026-11-21"

# OpenAI itself ignores null; strict servers answer 400 or 422 (the incident: vLLM, 2026-02-18).
_NULL_EMBEDDING_PARAMS = tuple(
    Quirk(
        endpoint="embeddings",
        param=param,
        when="null",
        action="drop",
        reason="strict OpenAI-compatible servers refuse null where the parameter may only be left out",
        source="https://github.com/BerriAI/litellm/pull/21474",
        as_of=_READ,
    )
    for param in ("encoding_format", "dimensions", "user")
)

_REASONING_MAX_TOKENS = Quirk(
    endpoint="chat/completions",
    param="max_tokens",
    action="rename",
    to="max_completion_tokens",
    models=("o1", "o3", "o4", "gpt-5", "gpt-6"),
    reason="reasoning models answer 400 unsupported_parameter: use max_completion_tokens",
    source="https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens",
    as_of=_READ,
)


def _groq(param: str, when: When, action: Action, reason: str) -> Quirk:
    """Write one line of Groq's list of unsupported fields."""
    return Quirk(
        endpoint="chat/completions",
        param=param,
        when=when,
        action=action,
        reason=reason,
        source=_GROQ_COMPATIBILITY,
        as_of=_READ,
    )


# Groq answers 400 when these are supplied at all: what is as good as left out is left out, and a value, without which
# the answer would not be the one that was asked for, is refused.
_GROQ_UNSUPPORTED = tuple(
    quirk
    for param in ("logprobs", "top_logprobs", "logit_bias")
    for quirk in (
        _groq(param, "unset", "drop", "Groq refuses the parameter even where it asks for nothing"),
        _groq(param, "any", "refuse", f"Groq does not support {param}"),
    )
)
_GROQ_ONE_CHOICE = (
    _groq("n", "null", "drop", "Groq takes no n but 1"),
    _groq("n", "above_one", "refuse", "Groq takes no n but 1"),
)

PROVIDERS: dict[str, ProviderRow] = {
    row.name: row
    for row in (
        ProviderRow(
            name="openai",
            dialect="openai",
            base_url="https://api.openai.com/v1",
            env_key="OPENAI_API_KEY",
            cancel_stops_billing=True,
            quirks=(_REASONING_MAX_TOKENS, *_NULL_EMBEDDING_PARAMS),
            source=_CANCELLATION,
            as_of=_READ,
        ),
        ProviderRow(
            name="anthropic",
            dialect="anthropic",
            base_url="https://api.anthropic.com/v1",
            env_key="ANTHROPIC_API_KEY",
            auth="x-api-key",
            cancel_stops_billing=True,
            endpoints=CHAT,
            source=_CANCELLATION,
            as_of=_READ,
        ),
        ProviderRow(
            name="groq",
            dialect="openai",
            base_url="https://api.groq.com/openai/v1",
            env_key="GROQ_API_KEY",
            cancel_stops_billing=False,
            endpoints=CHAT,
            quirks=(*_GROQ_UNSUPPORTED, *_GROQ_ONE_CHOICE),
            source=_CANCELLATION,
            as_of=_READ,
        ),
        ProviderRow(
            name="openrouter",
            dialect="openai",
            base_url="https://openrouter.ai/api/v1",
            env_key="OPENROUTER_API_KEY",
            # OpenRouter passes the cancellation on; it counts where every host of the model honours it. Claude, for
            # one, is also served from Bedrock and Google, which do not.
            cancel_stops_billing=True,
            cancel_models=("openai/", "x-ai/"),
            reports_cost=True,
            quirks=_NULL_EMBEDDING_PARAMS,
            source=_CANCELLATION,
            as_of=_READ,
        ),
        ProviderRow(
            name="local",
            dialect="local",
            auth="none",
            cancel_stops_billing=True,
            cancel_stops_whole_calls=True,
            endpoints=frozenset({"embeddings"}),
            source="runs inside the gateway",
            as_of=_READ,
        ),
        ProviderRow(
            name="sandbox",
            dialect="sandbox",
            auth="none",
            cancel_stops_billing=True,
            cancel_stops_whole_calls=True,
            source="runs inside the gateway",
            as_of=_READ,
        ),
    )
}

# Hosts with an OpenAI-compatible address that go on generating, and billing, after the client has left (source:
# OpenRouter's list above, "Not Currently Supported").
_GOES_ON_BILLING = (
    "amazonaws.com",
    "googleapis.com",
    "groq.com",
    "huggingface.co",
    "minimax.io",
    "mistral.ai",
    "modal.run",
    "perplexity.ai",
    "replicate.com",
    "sambanova.ai",
)


def find_provider(name: str, dialect: DialectName | None = None, base_url: str | None = None) -> ProviderRow:
    """Return the row of a configured provider: a known one as it stands, with what the operator changed, or a new one.

    A name we do not know gets the protocol's own row: bearer (or x-api-key for the anthropic dialect), every endpoint
    of the dialect, null dropped from embeddings, and cancelling trusted unless the host is known to bill on: a private
    address is as a rule a vLLM or llama.cpp, which stop when the connection closes. Raises ValueError for an unknown
    name without a dialect, or without a base URL where the dialect needs one.
    """
    known = PROVIDERS.get(name)
    if known is not None and dialect in (None, known.dialect):
        return known if base_url is None else msgspec.structs.replace(known, base_url=base_url.rstrip("/"))
    if dialect is None:
        raise ValueError(f"provider {name!r} is not known: name its dialect (openai, anthropic, local, sandbox)")
    if dialect in ("local", "sandbox"):
        return msgspec.structs.replace(PROVIDERS[dialect], name=name)
    if base_url is None:
        raise ValueError(f"provider {name!r} is not known: give its base_url, such as 'http://127.0.0.1:8000/v1'")
    if dialect == "anthropic":
        return msgspec.structs.replace(PROVIDERS["anthropic"], name=name, base_url=base_url.rstrip("/"), env_key="")
    return ProviderRow(
        name=name,
        dialect=dialect,
        base_url=base_url.rstrip("/"),
        cancel_stops_billing=not _bills_on(base_url),
        quirks=_NULL_EMBEDDING_PARAMS,
        source="the operator's configuration",
        as_of=_READ,
    )


def _bills_on(base_url: str) -> bool:
    """Tell whether the host is on the list of those that go on billing after a cancellation."""
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    return any(host == suffix or host.endswith("." + suffix) for suffix in _GOES_ON_BILLING)
