"""Every fault the gateway can answer with, and how each surface may name it.

Fault
  one class; its ``kind`` is a row of KINDS, so a new error code is a new row
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class FaultKind(msgspec.Struct, frozen=True):
    """A row: the public code and HTTP status of surface W, OpenAI's error type, and when it is used.

    ``name`` is there where other surfaces tell apart what W gives one code; see gateway.envelope.
    """

    code: str
    status: int
    type: str
    meaning: str
    name: str = ""


def _rows(*rows: FaultKind) -> dict[str, FaultKind]:
    return {row.name or row.code: row for row in rows}


INVALID = "invalid_request_error"
KINDS: dict[str, FaultKind] = _rows(
    FaultKind("invalid_request", 400, INVALID, "The request is not JSON, lacks a field or has one of a wrong type."),
    FaultKind("invalid_request", 400, INVALID, "A field has a value that a rule forbids.", "rule_broken"),
    FaultKind("invalid_model", 400, INVALID, "No configured provider has this model; close names are listed."),
    FaultKind("unsupported_parameter", 400, INVALID, "The model's provider cannot do what the field asks for."),
    FaultKind("invalid_api_key", 401, "authentication_error", "The key is missing, unknown, revoked or expired."),
    FaultKind("invalid_api_key", 401, "authentication_error", "No credential was given.", "no_credential"),
    FaultKind("spending_limit", 402, "insufficient_quota", "A budget, or the call's own limit, has no room for it."),
    FaultKind("insufficient_credits", 402, "insufficient_quota", "The account has no credit left for the call."),
    FaultKind("insufficient_scope", 403, "permission_error", "The key may not do this or use this model."),
    FaultKind("not_found", 404, INVALID, "There is nothing at this path or under this id."),
    FaultKind("not_found", 404, INVALID, "What has this id is somebody else's, or is not there.", "foreign"),
    FaultKind("method_not_allowed", 405, INVALID, "The path exists, but not for this method."),
    FaultKind("request_timeout", 408, INVALID, "Headers or body did not arrive in time."),
    FaultKind("request_too_large", 413, INVALID, "The body is larger than [server] max_body_bytes."),
    FaultKind("unsupported_media_type", 415, INVALID, "The body is not application/json, or it is compressed."),
    FaultKind("rate_limit_exceeded", 429, "rate_limit_error", "Too many requests, here or at the provider."),
    FaultKind("quota_exceeded", 429, "insufficient_quota", "The plan's requests of this month are used."),
    FaultKind("server_error", 500, "server_error", "A fault of the gateway itself; the log has the request id."),
    FaultKind("cache_error", 500, "server_error", "The cache could not be changed or purged; calls are never told so."),
    FaultKind("provider_error", 502, "provider_error", "The provider answered with an error of its own."),
    FaultKind("upstream_error", 502, "provider_error", "The provider broke a stream off with an error event."),
    FaultKind("upstream_auth", 502, "provider_error", "The provider refused the gateway's own credential."),
    FaultKind("upstream_quota", 502, "provider_error", "The gateway's account at the provider has no credit left."),
    FaultKind("upstream_invalid", 502, "provider_error", "The provider's answer is not an answer."),
    FaultKind("upstream_truncated", 502, "provider_error", "The provider's answer stopped before its end."),
    FaultKind("upstream_unreachable", 502, "provider_error", "No connection to the provider could be made or kept."),
    FaultKind("maintenance", 503, "server_error", "The gateway is shutting down; ask again."),
    FaultKind("service_unavailable", 503, "server_error", "A part that this call needs is not there right now."),
    FaultKind(
        "credential_unreadable", 503, "provider_error", "The stored provider key cannot be decrypted: store it anew."
    ),
    FaultKind("upstream_busy", 503, "provider_error", "All connections to the provider are in use."),
    FaultKind("provider_unavailable", 503, "provider_error", "The provider failed repeatedly and is being spared."),
    FaultKind("upstream_timeout", 504, "provider_error", "The provider did not answer in time."),
    FaultKind("cache_miss", 504, INVALID, "x-watchllm-cache: only was asked for, and there is no stored answer."),
)


class Fault(Exception):
    """A refusal or failure that a client is told about.

    ``status`` and ``code`` stand in for the kind's own where a provider's error is relayed as it came, and ``extras``
    are further members of its error object.
    """

    def __init__(  # noqa: PLR0913 - each word of an error is optional
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        details: dict[str, str | int | None] | None = None,
        retry_after_ms: int | None = None,
        should_retry: bool | None = None,
        status: int | None = None,
        shown_code: str | None = None,
        shown_type: str | None = None,
        allow: str | None = None,
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        kind = KINDS[code]
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        self.details = details or {}
        self.retry_after_ms = retry_after_ms
        self.should_retry = should_retry
        self.status = status or kind.status
        self.code = shown_code or kind.code
        self.type = shown_type or kind.type
        self.extras = extras or {}
        # The methods that a path takes, with 405.
        self.allow = allow


MAX_SHOWN_CHARS = 200
_LEDGER_RETRY_MS = 5_000


def shown(value: object) -> str:
    """A value as an error message may show it: quoted, escaped and cut."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"


def refuse_body(limit_bytes: int) -> Fault:
    """The refusal of a body over the limit."""
    message = f"The body is over {limit_bytes} bytes, the limit of [server] max_body_bytes."
    return Fault("request_too_large", message)


def own_failure() -> Fault:
    """What a caller is told where the gateway itself has failed."""
    return Fault("server_error", "The gateway failed; its log has the reason.")


def refuse_unrecorded() -> Fault:
    """What is said where a call's cost could be written down nowhere."""
    return Fault(
        "service_unavailable",
        "The usage ledger cannot be written, so no call is made. The operator has to make room on the disk.",
        retry_after_ms=_LEDGER_RETRY_MS,
    )
