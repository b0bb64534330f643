"""What a provider's failure means to the caller: its own mistake, the provider's trouble, or ours.

A provider's 401, 402 and 403 concern the gateway's credential, never the caller's, and are not shown as such; but for a
403 that says that the caller's words were flagged. Texts of providers may quote credentials, so what looks like one is
masked. Where its message goes, the members go along that it documents beside OpenAI's (Groq's failed_generation),
masked as well.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

from gateway.backends.interface import Backend
from gateway.errors import KINDS, Fault, refuse_unrecorded
from providers.errors import (
    InvalidAnswer,
    PoolExhausted,
    ProviderError,
    Refused,
    TimedOut,
    Truncated,
    Unreachable,
    Unsupported,
    Withheld,
)

CREDENTIAL = re.compile(
    r"(?i)\b(?:(?:sk|pk|rk|ak|gsk|lgw|efg|xai)[-_]|AIza)[\w\-*.…]{6,}|bearer\s+\S+|\b[\w-]{4,}\*{3,}[\w-]*"
)
# A type, code or field that is one word: anything longer is prose, and prose may quote what the provider was sent.
WORD = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,128}")
# What is shown to others than the caller.
CODE = re.compile(r"[a-z][a-z0-9_.-]{1,47}")
TIMEOUTS = {
    "connect": "No connection was made in time.",
    "first_byte": "No answer began in time.",
    "idle": "The answer paused for too long.",
    "total": "The whole answer took too long.",
}
MAX_MESSAGE_CHARS = 1_000
# A further member of an error is left out below so many levels.
MAX_EXTRA_DEPTH = 8
BAD_REQUEST, RATE_LIMITED, SERVER_ERROR = 400, 429, 500
# Statuses of a provider that the caller can act on: they pass as they are.
RELAYED = frozenset({400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422, 424, 431, 451})
# Those of them that another target would answer as well: who asked has to ask for something else.
CALLERS = RELAYED - {409}
# Statuses that speak of the gateway's own account at the provider.
PAYMENT_REQUIRED = 402
OWN_TROUBLE = {401: "upstream_auth", 403: "upstream_auth", PAYMENT_REQUIRED: "upstream_quota"}
TIMED_OUT = frozenset({408, 504, 524})
FORBIDDEN = 403
# What OpenRouter adds to a 403 that is about the caller's words, not the gateway's account. Source:
# https://openrouter.ai/docs/api/reference/errors-and-debugging (2026-11-28).
FLAGGED = ("flagged_input", "reasons")
# The 4xx that tell of the provider or of the gateway's account there; all others are about the request.
ILL = frozenset({*OWN_TROUBLE, 408, RATE_LIMITED})
# The gateway did not even ask, so asking again soon is right.
NOT_TRIED = frozenset({"upstream_busy", "provider_unavailable"})
NOT_TRIED_RETRY_MS = 1_000
# Where a provider limits the rate and does not say for how long.
DEFAULT_RETRY_MS = 1_000


def clean(text: str) -> str:
    """A provider's text without credentials and bounded."""
    return CREDENTIAL.sub("***", text)[:MAX_MESSAGE_CHARS]


def _word(text: str) -> str | None:
    """A provider's type, code or field, where it is one word and no credential."""
    return text if WORD.fullmatch(text) and CREDENTIAL.search(text) is None else None


def is_callers(error: ProviderError) -> bool:
    """Whether the caller's own request is at fault, so that neither the provider is ill nor another would take it."""
    if isinstance(error, Refused):
        return error.upstream_status in CALLERS or _is_flagged(error)
    return isinstance(error, Unsupported)


def is_well(error: ProviderError) -> bool:
    """Whether the target is no worse for this failure: it refused one request, or was never asked."""
    if isinstance(error, Refused):
        status = error.upstream_status
        return _is_flagged(error) or (BAD_REQUEST <= status < SERVER_ERROR and status not in ILL)
    return isinstance(error, (Unsupported, PoolExhausted, Withheld))


def _is_flagged(error: Refused) -> bool:
    """Whether a 403 is moderation's, of what the caller wrote."""
    told = error.extras.get("metadata")
    return error.upstream_status == FORBIDDEN and isinstance(told, dict) and not told.keys().isdisjoint(FLAGGED)


def mask(error: ProviderError, backend: Backend) -> None:
    """Take the backend's own credentials out of what it says, whatever they look like."""
    error.message = _without(error.message, backend.secrets)
    secrets = [secret.encode() for secret in backend.secrets]
    error.headers = tuple((name, hide(value, secrets)) for name, value in error.headers)
    if isinstance(error, Refused):
        error.extras = {name: _clean_member(value, backend.secrets) for name, value in error.extras.items()}


def hide(value: bytes, secrets: Iterable[bytes]) -> bytes:
    """A header, or a line of one, without these credentials."""
    for secret in secrets:
        value = value.replace(secret, b"***")
    return value


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _clean_member(value: Any, secrets: Sequence[str], depth: int = 0) -> Any:
    """A further member of a provider's error, without credentials wherever they stand in it."""
    if isinstance(value, str):
        return CREDENTIAL.sub("***", _without(value, secrets))
    if depth == MAX_EXTRA_DEPTH:
        return None
    if isinstance(value, list):
        return [_clean_member(item, secrets, depth + 1) for item in cast("list[Any]", value)]  # type: ignore[redundant-cast]
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {
            clean(_without(name, secrets)): _clean_member(member, secrets, depth + 1)
            for name, member in members.items()
        }
    return value


def describe(error: ProviderError, backend: Backend) -> str:
    """Say what happened without a word that the provider said, but for its code: its prose may quote what it was sent.

    So it may be shown to everybody who uses the target, whoever made the call.
    """
    if isinstance(error, Unreachable):
        return "The connection broke before an answer." if error.sent else "No connection could be made."
    if isinstance(error, TimedOut):
        return TIMEOUTS.get(error.phase, "A time limit passed.")
    if isinstance(error, Truncated):
        return "The answer stopped before its end."
    if isinstance(error, InvalidAnswer):
        return "What came was not an answer."
    if isinstance(error, Refused):
        code = error.upstream_code if CODE.fullmatch(error.upstream_code) and _word(error.upstream_code) else ""
        told = f" ({code})" if code and not any(secret in code for secret in backend.secrets) else ""
        is_inside = error.upstream_status < BAD_REQUEST
        return f"An error came inside a success{told}." if is_inside else f"Status {error.upstream_status}{told}."
    return "The try failed."


def as_fault(error: ProviderError, backend: Backend) -> Fault:
    """The fault that a backend's failure is to the caller; tries are exhausted, so it says not to retry."""
    name = backend.name
    mask(error, backend)
    if isinstance(error, Unsupported):
        return Fault("unsupported_parameter", clean(error.message).rstrip(".") + ".", param=error.param)
    if isinstance(error, Refused):
        return _as_asked(error) if backend.is_free else _refusal(error, name)
    if isinstance(error, Withheld):
        return refuse_unrecorded()
    code = error.code if error.code in KINDS else "provider_error"
    # Addresses and system errors are the operator's business: only what is unreachable says them.
    text = f"{name} cannot be reached." if isinstance(error, Unreachable) else f"{name}: {clean(error.message)}."
    if code in NOT_TRIED:
        return Fault(code, text, retry_after_ms=NOT_TRIED_RETRY_MS)
    return Fault(code, text, should_retry=False)


def as_stream_fault(error: ProviderError, backend: Backend) -> Fault:
    """The error event of a stream that broke off after it had begun."""
    mask(error, backend)
    if isinstance(error, Refused) and not backend.is_free:
        return Fault("upstream_error", f"{backend.name}: {clean(error.message)}", extras=error.extras)
    return as_fault(error, backend)


def _as_asked(error: Refused) -> Fault:
    """The sandbox was asked for this very error."""
    status = error.upstream_status if error.upstream_status >= BAD_REQUEST else None
    return Fault(
        "provider_error",
        error.message,
        param=_word(error.param or ""),
        status=status,
        shown_code=_word(error.upstream_code) or None,
        shown_type=_word(error.type),
        retry_after_ms=error.retry_after_ms,
        should_retry=error.should_retry,
    )


def _refusal(error: Refused, name: str) -> Fault:
    status = error.upstream_status
    message = clean(error.message)
    if error.is_out_of_credit:
        status = PAYMENT_REQUIRED
    if status in RELAYED or _is_flagged(error):
        return Fault(
            "invalid_request",
            message,
            param=_word(error.param or ""),
            status=status,
            shown_code=_word(error.upstream_code) or ("not_found" if status == 404 else None),  # noqa: PLR2004
            shown_type=_word(error.type),
            retry_after_ms=error.retry_after_ms,
            # What the gateway has tried in vain already, a client should not multiply.
            should_retry=False if error.retryable else error.should_retry,
            extras=error.extras,
        )
    if status == RATE_LIMITED:
        return Fault(
            "rate_limit_exceeded",
            f"{name}: {message}",
            retry_after_ms=DEFAULT_RETRY_MS if error.retry_after_ms is None else error.retry_after_ms,
            # The tries here are used up; a client that repeats at once would multiply them.
            should_retry=False if error.should_retry is None else error.should_retry,
            extras=error.extras,
        )
    if status in OWN_TROUBLE:
        return Fault(
            OWN_TROUBLE[status],
            f"{name} refused the gateway's own account with status {error.upstream_status}. "
            "The operator has to look at it.",
            should_retry=False,
        )
    if status in TIMED_OUT:
        return Fault("upstream_timeout", f"{name} answered status {status}, a timeout of its own.", should_retry=False)
    return Fault(
        "provider_error",
        f"{name} failed with status {status}: {message}" if status >= BAD_REQUEST else f"{name}: {message}",
        retry_after_ms=error.retry_after_ms,
        should_retry=False,
        extras=error.extras,
    )
